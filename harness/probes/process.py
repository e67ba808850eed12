"""The measured processes from outside: resident memory, its peak, CPU time, context switches, page faults."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import psutil

from harness.probes.base import number_after, read_text
from harness.spec.outcome import Fact

_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError)


class ProcessProbe:
    """Sums over the measured processes; None when none of them can be read."""

    columns: Mapping[str, str] = {
        "rss_bytes": "bytes",
        "peak_bytes": "bytes",
        "cpu_s": "s",
        "voluntary_switches": "1",
        "involuntary_switches": "1",
        "minor_faults": "1",
        "major_faults": "1",
    }

    def __init__(self) -> None:
        self._processes: list[psutil.Process] = []

    def unavailable(self) -> str | None:
        """Say that this system has no /proc, if it has none."""
        return None if psutil.LINUX else "needs /proc"

    def start(self, pids: Sequence[int]) -> None:
        """Watch `pids`; a process that has ended already is left out."""
        self._processes = []
        for pid in pids:
            with suppress(*_GONE):
                self._processes.append(psutil.Process(pid))

    def sample(self) -> list[float | int | None]:
        """Read all processes once."""
        rows = []
        for process in self._processes:
            with suppress(*_GONE):
                rows.append(_read(process))
        return [_total(column) for column in zip(*rows, strict=True)] if rows else [None] * len(self.columns)

    def facts(self) -> dict[str, Fact]:
        """Return how many processes were watched last."""
        return {"processes": len(self._processes)}


def _read(process: psutil.Process) -> list[float | int | None]:
    with process.oneshot():
        cpu, switches = process.cpu_times(), process.num_ctx_switches()
        rss = process.memory_info().rss or None  # 0: it has ended, and its parent has not waited for it yet
    return [rss, peak_bytes(process.pid), round(cpu.user + cpu.system, 3), *switches, *_faults(process.pid)]


def _total(values: Iterable[float | int | None]) -> float | int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def peak_bytes(pid: int) -> int | None:
    """Return a process's peak resident bytes (VmHWM); psutil does not give it."""
    kib = number_after("VmHWM:", f"/proc/{pid}/status")
    return None if kib is None else kib * 1024


def _faults(pid: int) -> tuple[int | None, int | None]:
    """Return minor and major page faults (fields 10 and 12 of /proc/<pid>/stat; psutil does not give them)."""
    fields = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[7]), int(fields[9])) if len(fields) > 9 else (None, None)
