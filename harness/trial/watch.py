"""What the parent sees of a child from outside, a few times a second, and of the host under it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

COLUMNS = (
    "t_ns",
    "rss_bytes",
    "peak_bytes",
    "cpu_ticks",
    "involuntary_switches",
    "host_steal_ticks",
    "host_idle_ticks",
    "host_total_ticks",
    "load_1m",
    "freq_mhz",
    "oom_kills",
)


class View(NamedTuple):
    """One look: a row of telemetry.csv. None where this machine does not say."""

    t_ns: int
    rss_bytes: int | None
    peak_bytes: int | None
    cpu_ticks: int | None
    involuntary_switches: int | None
    host_steal_ticks: int | None
    host_idle_ticks: int | None
    host_total_ticks: int | None
    load_1m: float | None
    freq_mhz: float | None
    oom_kills: int | None

    def csv(self) -> str:
        """Return the row as a line; an unknown value is empty, never 0."""
        return ",".join("" if value is None else str(value) for value in self) + "\n"


def look(pid: int, static: bool = False) -> View:
    """Look at process `pid` and the host. `static` also reads what changes slowly (frequency)."""
    status = _status(pid)
    steal, idle, total = _host_ticks()
    return View(
        t_ns=time.perf_counter_ns(),
        rss_bytes=status.get("VmRSS"),
        peak_bytes=status.get("VmHWM"),
        cpu_ticks=_cpu_ticks(pid),
        involuntary_switches=status.get("nonvoluntary_ctxt_switches"),
        host_steal_ticks=steal,
        host_idle_ticks=idle,
        host_total_ticks=total,
        load_1m=_load(),
        freq_mhz=_frequency() if static else None,
        oom_kills=oom_kills() if static else None,
    )


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _status(pid: int) -> dict[str, int]:
    values: dict[str, int] = {}
    for line in _text(f"/proc/{pid}/status").splitlines():
        key, _, rest = line.partition(":")
        if key in ("VmRSS", "VmHWM"):
            values[key] = int(rest.split()[0]) * 1024
        elif key == "nonvoluntary_ctxt_switches":
            values[key] = int(rest)
    return values


def _cpu_ticks(pid: int) -> int | None:
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]) if len(fields) > 12 else None


def _host_ticks() -> tuple[int | None, int | None, int | None]:
    """Return (steal, idle, total) clock ticks of all CPUs together since boot."""
    first = _text("/proc/stat").partition("\n")[0].split()
    if len(first) < 9 or first[0] != "cpu":
        return None, None, None
    ticks = [int(value) for value in first[1:9]]
    return ticks[7], ticks[3] + ticks[4], sum(ticks)


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def _frequency() -> float | None:
    khz = _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq").strip()
    return int(khz) / 1000 if khz.isdigit() else None


def oom_kills() -> int | None:
    """Return how many processes the kernel has killed for memory since boot."""
    for line in _text("/proc/vmstat").splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return None
