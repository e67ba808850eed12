"""A trial folder on disk: jobs in, events and outcomes out. What cannot be read says so, by name."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.errors import EvidenceError
from harness.spec.wire import Event, Job, Outcome

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON so that the file is whole or absent.

    Raises:
        EvidenceError: the disk is full, or the folder cannot be written.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> EvidenceError:
    """Turn a failed write into an error that says where and how to mend it."""
    mend = "make it writable, or choose another folder with --out DIR"
    if error.errno in _NO_ROOM:
        mend = "free some space; `harness run --resume` goes on from what is finished"
    return EvidenceError(f"{path}: cannot write evidence: {error.strerror or error} ({mend})")


def write_job(folder: Path, job: Job) -> None:
    """Begin a folder: make it and put the job in."""
    write_json(folder / "job.json", job)


def read_job(folder: Path) -> Job:
    """Read a folder's job.

    Raises:
        EvidenceError: it is missing or damaged.
    """
    try:
        job: Job = msgspec.json.decode((folder / "job.json").read_bytes(), type=Job)
    except (OSError, msgspec.MsgspecError) as error:
        raise EvidenceError(f"{folder / 'job.json'}: cannot be read: {error}") from error
    return job


def read_outcome(folder: Path) -> Outcome | None:
    """Read a folder's outcome; None when the job has not ended.

    Raises:
        EvidenceError: the outcome, or a file it lists, is damaged.
    """
    path = folder / "outcome.json"
    try:
        outcome = msgspec.json.decode(path.read_bytes(), type=Outcome)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise EvidenceError(f"{path}: damaged: {error}") from error
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


def read_array(path: Path) -> NDArray[Any]:
    """Open an array of evidence, memory-mapped.

    Raises:
        EvidenceError: it is missing or damaged.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise EvidenceError(f"{path}: cannot be read: {error}") from error
    return array


def read_events(folder: Path, offset: int = 0) -> tuple[list[Event], int]:
    """Read the whole lines of `events.jsonl` from byte `offset`; returns them and the next offset."""
    try:
        with (folder / "events.jsonl").open("rb") as file:
            file.seek(offset)
            data = file.read()
    except OSError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    events = []
    for line in whole.splitlines():
        try:
            events.append(msgspec.json.decode(line, type=Event))
        except msgspec.MsgspecError:
            continue
    return events, offset + len(whole)
