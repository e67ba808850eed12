"""What the child sees of itself: resident memory from /proc, switches and faults from getrusage."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import NamedTuple

from harness.spec.wire import Noise


def resident_bytes(field: str = "VmRSS") -> int | None:
    """Return VmRSS or VmHWM of this process in bytes; None where /proc has none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None


class Usage(NamedTuple):
    """Running totals of this process, to be subtracted."""

    voluntary: int
    involuntary: int
    minor: int
    major: int


def usage() -> Usage:
    """Return this process's totals so far."""
    now = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(now.ru_nvcsw, now.ru_nivcsw, now.ru_minflt, now.ru_majflt)


def add_noise(noise: Noise, before: Usage, after: Usage) -> Noise:
    """Return `noise` with what came between two totals added."""
    return Noise(
        voluntary_switches=noise.voluntary_switches + after.voluntary - before.voluntary,
        involuntary_switches=noise.involuntary_switches + after.involuntary - before.involuntary,
        minor_faults=noise.minor_faults + after.minor - before.minor,
        major_faults=noise.major_faults + after.major - before.major,
    )
