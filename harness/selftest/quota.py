"""A CPU quota, in a real process: a busy loop gets its part of the time, and no more."""

from __future__ import annotations

import msgspec
import numpy as np

from harness.evidence.files import read_array
from harness.evidence.folder import SLICE_COLUMNS, SLICES
from harness.launch.base import Terms, run_job
from harness.selftest.field import trial
from harness.selftest.records import Finding, Setting
from harness.spec.target import Limits

CPUS, TOLERANCE = 0.5, 0.05
_ASLEEP_MS, _BUSY_TIMES = 1.0, 50.0
"""A request sleeps for a millisecond, and is busy for fifty: it always wants more than its half."""


def held(setting: Setting) -> list[Finding]:
    """Compare wall time and CPU time of a busy process under a quota."""
    seconds, limits = setting.size(2, 6), Limits(cpus=CPUS)
    truth, wanted = f"busy under a quota of {CPUS:g} CPU", f"{1 / CPUS:g} ± {TOLERANCE:.0%}"
    with setting.folder() as base:
        job = trial(base, {"latency_ms": _ASLEEP_MS, "clock": "real"}, limits, seconds)
        job = msgspec.structs.replace(job, slower=_BUSY_TIMES)
        outcome = run_job(setting.launcher, base / "job", job, Terms(base, limits))
        resources = outcome.launched.resources if outcome.launched is not None else job.resources
        if outcome.status != "ok":
            return [Finding("quota", truth, f"{outcome.failure}: {outcome.message}", wanted, False)]
        if not resources.settle_s:
            why = f"unavailable: {resources.limits.get('cpus', 'the launcher enforces no limits')}"
            return [Finding("quota", truth, why, wanted, True, available=False)]
        slices = np.array(read_array(base / "job" / SLICES))
    begin, end, cpu = (slices[:, SLICE_COLUMNS.index(name)] for name in ("begin_ns", "end_ns", "cpu_ns"))
    wall_ns = float((end - begin).sum())
    ratio, periods = wall_ns / float(cpu.sum()), round(wall_ns / 1e9 / resources.settle_s)
    found = f"wall ÷ CPU time {ratio:.3f} (n = {periods} periods; {resources.limits['cpus']})"
    return [Finding("quota", truth, found, wanted, abs(ratio * CPUS - 1) <= TOLERANCE)]
