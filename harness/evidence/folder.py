"""A job's folder: the job, the events, the outcome, the arrays of its requests, and the telemetry."""

import csv
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from harness.errors import EvidenceError
from harness.evidence.files import read_array, read_json, save_array, write_json
from harness.spec.arrays import Array, Floats
from harness.spec.outcome import Event, Outcome
from harness.spec.wire import Job

OUTCOME = "outcome.json"
PREDICTIONS = "predictions.npy"
TELEMETRY = "telemetry.csv"
"""What the probes that are read a few times a second saw; a faster one has a file of its own (`telemetry_file`)."""
LATENCY, START, ROUND, DEVICE = "latency", "start", "round", "device"
"""Arrays of a window's requests, int64: time taken (ns), CLOCK_MONOTONIC at the start (ns), number of the turn.

`device` is there where the runtime times the device by its own events: time taken on it (ns).
"""
DUE, FREE, SERVER, BATCH = "due", "free", "server", "batch"
"""Further arrays of an open loop, int64: CLOCK_MONOTONIC when the request was due, and when its server took it (ns).

`latency` is then done - due, so that done = due + latency. A server that took a request before it was due was idle.
`server` is the number of the thread or process, `batch` that of the first request of the batch it was served in.
"""
INVOKE, HANDLER = "invoke", "handler"
"""The window of a cold start's requests, first to last; and the array of what the handler took of each (ns)."""
SLICES = "slices.npy"
SLICE_COLUMNS = ("begin_ns", "end_ns", "cpu_ns", "delay_ns", "steal_ns", "kernel_ns")
"""Columns of the slices of a trial, int64: what the host did meanwhile; -1 where that is not known."""


def write_job(folder: Path, job: Job) -> None:
    """Make the folder and write the job into it."""
    write_json(folder / "job.json", job)


def read_job(folder: Path) -> Job:
    """Read a folder's job. Raises EvidenceError if it is missing or damaged."""
    job: Job = read_json(folder / "job.json", Job)  # type: ignore[arg-type]
    return job


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Write the outcome, the last file of a job."""
    write_json(folder / OUTCOME, outcome)


def read_outcome(folder: Path) -> Outcome | None:
    """Read a folder's outcome; None before the job's end. Raises EvidenceError if it or a file it lists is damaged."""
    path = folder / OUTCOME
    if not path.exists():
        return None
    outcome = read_json(path, Outcome)
    for name, size in outcome.files.items():
        _check_size(folder / name, size)
    return outcome


def _check_size(path: Path, size: int) -> None:
    try:
        found = path.stat().st_size
    except OSError as error:
        raise EvidenceError(f"{path}: missing, though the outcome lists it") from error
    if found != size:
        raise EvidenceError(f"{path}: damaged: {found} bytes, the outcome says {size}")


def readable(folder: Path) -> Outcome | None:
    """Return a folder's outcome as `read_outcome` does; None, too, where it is damaged."""
    with suppress(EvidenceError):
        return read_outcome(folder)
    return None


def succeeded(folder: Path) -> Outcome | None:
    """Return the outcome of a job that ended well and whose files are whole; None otherwise."""
    outcome = readable(folder)
    return outcome if outcome is not None and outcome.status == "ok" else None


def request_file(window: str, array: str) -> str:
    """Return the file of one array of a window's requests, relative to the job's folder."""
    return f"requests/{window}/{array}.npy"


def save_requests(folder: Path, window: str, arrays: Mapping[str, Array]) -> dict[str, int]:
    """Write a window's arrays, one number a request; returns file → size in bytes."""
    files = {request_file(window, name): array for name, array in arrays.items()}
    return {file: save_array(folder / file, array) for file, array in files.items()}


def read_requests(folder: Path, window: str, array: str = LATENCY, samples: int | None = None) -> Array:
    """Open one array of a window's requests. Raises EvidenceError if it is missing, damaged, or has not `samples`."""
    path = folder / request_file(window, array)
    found = read_array(path)
    if found.dtype != np.int64 or found.ndim != 1 or not len(found) or len(found) != (samples or len(found)):
        raise EvidenceError(f"{path}: damaged: {found.shape} {found.dtype}, the outcome says {samples}")
    return found


class EventLog:
    """Appends one line per phase to `events.jsonl`, unbuffered, so that a crash leaves the phase it happened in."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "events.jsonl").open("ab", buffering=0)
        self.phase = ""

    def mark(self, phase: str, note: str = "", pids: tuple[int, ...] = ()) -> None:
        """Record that `phase` begins now, and which processes are measured from now on."""
        self.phase = phase
        event = Event(phase=phase, t_ns=time.perf_counter_ns(), note=note, pids=pids)
        self._file.write(msgspec.json.encode(event) + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_events(folder: Path, offset: int = 0) -> tuple[list[Event], int]:
    """Read the whole lines of `events.jsonl` from byte `offset`; returns them and the next offset."""
    try:
        with (folder / "events.jsonl").open("rb") as file:
            file.seek(offset)
            data = file.read()
    except OSError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    events: list[Event] = []
    for line in whole.splitlines():
        with suppress(msgspec.MsgspecError):
            events.append(msgspec.json.decode(line, type=Event))
    return events, offset + len(whole)


def telemetry_file(probe: str) -> str:
    """Return the file of a probe that is sampled faster than the others."""
    return f"telemetry.{probe}.csv"


class TelemetryLog:
    """Appends rows to a file of telemetry; only the child reports a full disk. Raises OSError if it cannot be made."""

    def __init__(self, folder: Path, columns: Iterable[str], name: str = TELEMETRY) -> None:
        self._file = (folder / name).open("wb", buffering=0)
        self.add(("t_ns", *columns))

    def add(self, row: Iterable[Any]) -> None:
        """Append a row; None is an empty field, never 0."""
        with suppress(OSError):
            self._file.write((",".join("" if v is None else str(v) for v in row) + "\n").encode("ascii"))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def telemetry_changes(folder: Path, columns: Sequence[str]) -> dict[str, float] | None:
    """Return how much each column grew over the job; None where telemetry does not tell.

    Only rows that have a value in all these columns count, and two are needed.
    """
    try:
        with (folder / TELEMETRY).open(encoding="ascii", newline="") as file:
            rows = [row for row in csv.DictReader(file) if all(row.get(column) for column in columns)]
        if len(rows) < 2:
            return None
        return {column: float(rows[-1][column]) - float(rows[0][column]) for column in columns}
    except (OSError, ValueError, csv.Error):  # missing, truncated or damaged
        return None


def read_telemetry(folder: Path, probe: str | None = None) -> dict[str, Floats]:
    """Return the columns of a fast probe, or of all others (None), `t_ns` first; NaN where a value is not known.

    Empty without such a file. A last line that was cut off is left out.
    """
    try:
        with (folder / (telemetry_file(probe) if probe else TELEMETRY)).open(encoding="ascii", newline="") as file:
            head, *rows = list(csv.reader(file))
        table = [[float(cell or "nan") for cell in row] for row in rows if len(row) == len(head)]
    except (OSError, ValueError, csv.Error):  # missing, empty or damaged
        return {}
    return dict(zip(head, np.array(table, dtype=np.float64).reshape(-1, len(head)).T, strict=True))


def set_aside(folder: Path, what: str = "incomplete") -> None:
    """Rename what an earlier attempt left to `<folder>.<what>-N`. Raises OSError if it cannot be renamed."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.{what}-{number}")).exists():
        number += 1
    if folder.exists():
        folder.rename(aside)
