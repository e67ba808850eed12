"""What a probe must offer. Implement this and register it in `harness.probes` to add one."""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from harness.spec import plugins
from harness.spec.outcome import Fact, ProbeRecord

T = TypeVar("T")
_AMONG = "it tells nothing of one process between the turns of others"


class Unavailable(Exception):
    """Raised by a probe that finds only beside the job that it can read nothing of it; the message says why."""


class Probe(Protocol):
    """Watches processes, or the host, from the parent. A new one is made for each job.

    `columns` maps names (with their unit: `rss_bytes`) to units. Sampling must be cheap: it runs beside the
    measurement, a few times a second. Optional: `period_s`, for a probe that is to be sampled more often, in a thread
    of its own; `about(device)`, which is told the device of the job's target before anything else; `close()`;
    `only_alone = True`, for a probe that tells nothing of one process between the turns of others.
    """

    columns: Mapping[str, str]

    def unavailable(self) -> str | None:
        """Say why nothing can be read here; None when it can."""

    def start(self, pids: Sequence[int]) -> None:
        """Watch these processes from now on; called again when they change."""

    def sample(self) -> Sequence[float | int | None]:
        """Read one value per column; None where it is not known, never 0."""

    def facts(self) -> Mapping[str, Fact]:
        """Return what holds for the whole job, when it has ended; Unavailable where nothing could be read of it."""


class Probes:
    """All registered probes beside one job. One that cannot be used, or fails, is recorded with its reason.

    `device` is that of the job's target; `alone`: no other cell's process takes turns with it. `fast` are the probes
    that are sampled more often, by their period (s).
    """

    def __init__(self, device: str = "cpu", alone: bool = True) -> None:
        self._device, self._alone, self._lock = device, alone, threading.RLock()
        self.fast: dict[str, float] = {}
        self._probes: dict[str, Probe] = {}
        self._columns: dict[str, dict[str, str]] = {}
        self._unavailable: dict[str, str] = {}
        for name in plugins.names("probes"):
            self._ask(name, partial(self._make, name), None)

    def _make(self, name: str) -> None:
        probe: Probe = plugins.load("probes", name)()
        if (about := getattr(probe, "about", None)) is not None:
            about(self._device)
        among = not self._alone and getattr(probe, "only_alone", False)
        reason = _AMONG if among else probe.unavailable()
        if reason is not None:
            self._unavailable[name] = reason
            return
        columns = dict(probe.columns)
        if not all(column.isascii() and column.isidentifier() for column in columns):
            raise ValueError(f"columns must be ASCII identifiers, not {', '.join(columns)}")
        self._probes[name], self._columns[name] = probe, columns
        if (period_s := getattr(probe, "period_s", None)) is not None:
            self.fast[name] = period_s

    def _ask(self, name: str, question: Callable[[], T], otherwise: T) -> T:
        """Ask a probe that has not failed yet; a failure is recorded and does not disturb the job."""
        if name in self._unavailable:
            return otherwise
        try:
            with self._lock:
                return question()
        except Unavailable as reason:
            self._unavailable[name] = str(reason)
        except ImportError as error:
            self._unavailable[name] = f"cannot be loaded: {error}"
        except Exception as error:  # noqa: BLE001 - the edge to a plug-in, which may raise anything
            self._unavailable[name] = f"failed: {type(error).__name__}: {error}"
        return otherwise

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of telemetry: `probe.column`; those of fast probes are in files of their own."""
        return tuple(
            f"{name}.{column}" for name, each in self._columns.items() if name not in self.fast for column in each
        )

    def columns_of(self, name: str) -> tuple[str, ...]:
        """The columns of a fast probe."""
        return tuple(self._columns[name])

    def sample_of(self, name: str) -> Sequence[float | int | None]:
        """Read every column of a fast probe once."""
        columns = self._columns[name]
        return [*self._ask(name, partial(_row, [*columns], self._probes[name]), dict.fromkeys(columns)).values()]

    def start(self, pids: Sequence[int]) -> None:
        """Watch these processes from now on."""
        for name, probe in self._probes.items():
            self._ask(name, partial(probe.start, pids), None)

    def sample(self) -> dict[str, float | int | None]:
        """Read every column once, but those of fast probes."""
        found: dict[str, float | int | None] = {}
        for name, probe in self._probes.items():
            if name in self.fast:
                continue
            columns = [f"{name}.{column}" for column in self._columns[name]]
            found |= self._ask(name, partial(_row, columns, probe), dict.fromkeys(columns))
        return found

    def records(self) -> dict[str, ProbeRecord]:
        """Return what each probe recorded: columns and facts, and why it was unavailable, if it was."""
        none: dict[str, Fact] = {}
        facts = {name: self._ask(name, partial(_facts, probe), none) for name, probe in self._probes.items()}
        return {
            name: ProbeRecord(
                columns=self._columns.get(name, {}),
                facts=facts.get(name, none),
                unavailable=self._unavailable.get(name, ""),
            )
            for name in self._probes | self._unavailable
        }

    def close(self) -> None:
        """Let the probes go."""
        for name, probe in self._probes.items():
            self._ask(name, getattr(probe, "close", lambda: None), None)


def _facts(probe: Probe) -> dict[str, Fact]:
    """Return a probe's facts; raises ValidationError where they cannot be written as JSON."""
    return msgspec.convert(dict(probe.facts()), dict[str, Fact])


def _row(columns: Sequence[str], probe: Probe) -> dict[str, float | int | None]:
    return dict(zip(columns, probe.sample(), strict=True))


def read_text(path: str) -> str:
    """Read a small file of /proc or /sys; empty where there is none."""
    with suppress(OSError):
        return Path(path).read_text(encoding="ascii", errors="replace")
    return ""


def number_after(word: str, path: str) -> int | None:
    """Return the number behind the first `word` in a small file of /proc or /sys; None where there is none."""
    _, found, rest = read_text(path).partition(word)
    return int(rest.split()[0]) if found else None
