"""What a probe must offer. Implement this and register it in `harness.probes` to add one."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from harness.spec import plugins
from harness.spec.wire import Fact, ProbeRecord

T = TypeVar("T")


class Unavailable(Exception):
    """Raised by a probe that finds only beside the job that it can read nothing of it; the message says why."""


class Probe(Protocol):
    """Watches processes, or the host, from the parent. A new one is made for each job.

    `columns` maps names (with their unit: `rss_bytes`) to units. Sampling must be cheap: it runs beside the
    measurement, a few times a second.
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
    """All registered probes beside one job. One that cannot be used, or fails, is recorded with its reason."""

    def __init__(self) -> None:
        self._probes: dict[str, Probe] = {}
        self._columns: dict[str, dict[str, str]] = {}
        self._unavailable: dict[str, str] = {}
        for name in plugins.names("probes"):
            self._ask(name, partial(self._make, name), None)

    def _make(self, name: str) -> None:
        probe: Probe = plugins.load("probes", name)()
        reason = probe.unavailable()
        if reason is not None:
            self._unavailable[name] = reason
            return
        columns = dict(probe.columns)
        if not all(column.isascii() and column.isidentifier() for column in columns):
            raise ValueError(f"columns must be ASCII identifiers, not {', '.join(columns)}")
        self._probes[name], self._columns[name] = probe, columns

    def _ask(self, name: str, question: Callable[[], T], otherwise: T) -> T:
        """Ask a probe that has not failed yet; a failure is recorded and does not disturb the job."""
        if name in self._unavailable:
            return otherwise
        try:
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
        """The columns of telemetry: `probe.column`."""
        return tuple(f"{name}.{column}" for name, columns in self._columns.items() for column in columns)

    def start(self, pids: Sequence[int]) -> None:
        """Watch these processes from now on."""
        for name, probe in self._probes.items():
            self._ask(name, partial(probe.start, pids), None)

    def sample(self) -> dict[str, float | int | None]:
        """Read every column once."""
        found: dict[str, float | int | None] = {}
        for name, probe in self._probes.items():
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
