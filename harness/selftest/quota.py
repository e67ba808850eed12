"""A CPU quota, in a real process: a busy loop gets its part of the time, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from harness.evidence.files import read_array
from harness.evidence.folder import SLICE_COLUMNS, SLICES
from harness.launch.base import Terms, run_job
from harness.selftest.field import trial
from harness.selftest.records import Finding, Setting
from harness.spec.target import Limits
from harness.spec.wire import Resources

CPUS, TOLERANCE, MOST_DISTURBED = 0.5, 0.05, 0.02
_ASLEEP_MS, _BUSY_TIMES = 1.0, 50.0
"""A request sleeps for a millisecond, and is busy for fifty: it always wants more than its half."""
_TRUTH, _WANTED = f"busy under a quota of {CPUS:g} CPU", f"{1 / CPUS:g} ± {TOLERANCE:.0%}"


class Time(NamedTuple):
    """The time of a process (ns): by the clock, of CPUs, and waited for CPUs that others used."""

    wall: float
    cpu: float
    waited: float


def held(setting: Setting) -> list[Finding]:
    """Compare wall time and CPU time of a busy process under a quota."""
    seconds, limits = setting.size(2, 6), Limits(cpus=CPUS)
    with setting.folder() as base:
        job = trial(base, {"latency_ms": _ASLEEP_MS, "clock": "real"}, limits, seconds)
        job = msgspec.structs.replace(job, slower=_BUSY_TIMES)
        outcome = run_job(setting.launcher, base / "job", job, Terms(base, limits))
        if outcome.status != "ok":
            return [Finding("quota", _TRUTH, f"{outcome.failure}: {outcome.message}", _WANTED, False)]
        granted = outcome.launched.resources if outcome.launched is not None else Resources()
        return [judged(_time(base / "job"), granted)]


def judged(time: Time, granted: Resources) -> Finding:
    """Judge the time that a busy process got; where others had the CPU, only that it did not get too much."""
    how = granted.limits.get("cpus", "the launcher enforces no limits")
    if not granted.settle_s:
        return Finding("quota", _TRUTH, f"unavailable: {how}", _WANTED, True, available=False)
    ratio, disturbed = time.wall / time.cpu, time.waited / time.wall
    found = f"wall ÷ CPU time {ratio:.3f} (n = {time.wall / 1e9 / granted.settle_s:.0f} periods; {how})"
    if disturbed > MOST_DISTURBED and ratio * CPUS >= 1 - TOLERANCE:
        found = f"unavailable: others had the CPU for {disturbed:.0%} of the time; {found}"
        return Finding("quota", _TRUTH, found, _WANTED, True, available=False)
    return Finding("quota", _TRUTH, found, _WANTED, abs(ratio * CPUS - 1) <= TOLERANCE)


def _time(folder: Path) -> Time:
    slices = np.array(read_array(folder / SLICES))
    begin, end, cpu, waited = (
        slices[:, SLICE_COLUMNS.index(name)] for name in ("begin_ns", "end_ns", "cpu_ns", "delay_ns")
    )
    return Time(float((end - begin).sum()), float(cpu.sum()), float(waited.sum()))
