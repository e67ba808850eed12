"""What the host did while this process measured: counters of slices of 50 ms, and a kernel of fixed work after each.

Files of /proc stay open, because opening one costs more than reading it. Counters are read at the ends of turns, and
the kernel runs when a slice is closed, so nothing of this is inside a timed request.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from harness.evidence.folder import SLICE_COLUMNS
from harness.spec.arrays import Integers

LEAST_NS = 50_000_000
"""A slice is closed at the end of the turn that fills it."""
UNKNOWN = -1
_STEPS, _RUNS = 2_500, 3
_STEAL_FIELD = 8
_STAT_BYTES = 1 << 16


def kernel_ns(clock: Callable[[], int] = time.perf_counter_ns) -> int:
    """Time a fixed amount of work on integers that needs next to no memory (ns): the fastest of three runs of 60 µs.

    The fastest tells how fast the CPU is; an interruption, which the run delay tells, would hide it.
    """
    best = 1 << 62
    for _ in range(_RUNS):
        begin, total = clock(), 0
        for step in range(_STEPS):
            total += step & 7
        best = min(best, clock() - begin)
    return best


class Slices:
    """Slices of the turns of one process; made in the process that is measured, after it was forked.

    `resume` belongs to the begin of a turn and `pause` to its end. CPU time and run delay are those of the turns; the
    delay is the main thread's, less what a CPU quota held the process back (`cpu_stat` is the cpu.stat of its own
    cgroup): that is the target, not the host. Steal is that since the slice before was closed, the mean of the CPUs
    that this process may use.
    """

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns, cpu_stat: str = "") -> None:
        self._clock = clock
        self._rows: list[tuple[int, ...]] = []
        self._delay = _Counter("/proc/self/schedstat", lambda text: int(text.split()[1]))
        self._throttled = _Counter(cpu_stat, throttled_ns, _STAT_BYTES) if cpu_stat else None
        self._steal = _Counter("/proc/stat", _steal_reader(), _STAT_BYTES)
        self._steal_before = self._steal.read()
        self._start()

    def _start(self) -> None:
        self._first, self._turns_ns, self._cpu_ns, self._delay_ns = 0, 0, 0, 0

    def resume(self) -> None:
        """Begin a turn."""
        self._delay_before, self._throttled_before = self._delay.read(), self._throttled_ns()
        self._cpu_before = time.process_time_ns()
        self._begin = self._clock()

    def pause(self) -> None:
        """End a turn; with it the slice, where that is long enough."""
        end = self._end = self._clock()
        self._cpu_ns += time.process_time_ns() - self._cpu_before
        waited = _difference(self._delay.read(), self._delay_before)
        held = _difference(self._throttled_ns(), self._throttled_before)
        self._delay_ns = _sum(self._delay_ns, UNKNOWN if UNKNOWN in (waited, held) else max(0, waited - held))
        self._first = self._first or self._begin
        self._turns_ns += end - self._begin
        if self._turns_ns >= LEAST_NS:
            self._close(end)

    def split(self) -> None:
        """Within a turn that is long enough, end the slice and begin another one; nothing of it is in a request."""
        if self._clock() - self._begin >= LEAST_NS:
            self.pause()
            self.resume()

    def _throttled_ns(self) -> int:
        return 0 if self._throttled is None else self._throttled.read()

    def _close(self, end: int) -> None:
        steal = self._steal.read()
        self._add(end, _difference(steal, self._steal_before), kernel_ns(self._clock))
        self._steal_before = steal

    def _add(self, end: int, steal_ns: int, kernel: int) -> None:
        self._rows.append((self._first, end, self._cpu_ns, self._delay_ns, steal_ns, kernel))
        self._start()

    def rows(self) -> Integers:
        """Return all slices, [m, 6] by `SLICE_COLUMNS`; steal and kernel of a last one below 50 ms are not known."""
        if self._turns_ns:
            self._add(self._end, UNKNOWN, UNKNOWN)
        return np.array(self._rows, dtype=np.int64).reshape(-1, len(SLICE_COLUMNS))

    def close(self) -> None:
        """Close the files."""
        for counter in (self._delay, self._steal, self._throttled):
            if counter is not None:
                counter.close()


class _Counter:
    """One number out of a file of /proc, which stays open; `UNKNOWN` where there is none."""

    def __init__(self, path: str, number: Callable[[bytes], int], most_bytes: int = 256) -> None:
        self._number, self._most_bytes = number, most_bytes
        self._file: int | None = None
        with suppress(OSError):
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> int:
        if self._file is None:
            return UNKNOWN
        try:
            return self._number(os.pread(self._file, self._most_bytes, 0))
        except (OSError, ValueError, LookupError):
            return UNKNOWN

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def throttled_ns(text: bytes) -> int:
    """Return how long a CPU quota held a cgroup back (ns), off its cpu.stat: version 1 counts in ns, 2 in µs."""
    fields = dict(line.split() for line in text.splitlines())
    nanoseconds = fields.get(b"throttled_time")
    return int(fields[b"throttled_usec"]) * 1000 if nanoseconds is None else int(nanoseconds)


def _steal_reader() -> Callable[[bytes], int]:
    """Return what reads stolen time (ns) off /proc/stat: `cpuN user nice system idle iowait irq softirq steal …`."""
    names = {f"cpu{number}".encode() for number in os.sched_getaffinity(0)}
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

    def mean_ns(text: bytes) -> int:
        fields = (line.split() for line in text.splitlines() if line.startswith(b"cpu"))
        ticks = [int(each[_STEAL_FIELD]) for each in fields if each[0] in names]
        return sum(ticks) * tick_ns // len(ticks) if ticks else UNKNOWN

    return mean_ns


def _difference(now: int, before: int) -> int:
    return UNKNOWN if UNKNOWN in (now, before) else now - before


def _sum(one: int, other: int) -> int:
    return UNKNOWN if UNKNOWN in (one, other) else one + other
