"""All checks, one after another, while this process holds the machine."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness.errors import HarnessError
from harness.launch.process import ProcessLauncher
from harness.pipeline.progress import Observer
from harness.selftest import clusters, differences, families, flags, host, memory, order, queues, quota, races, tails
from harness.selftest.records import Finding, Setting

Check = Callable[[Setting], list[Finding]]

CHECKS: dict[str, Check] = {
    "A/A": differences.same,
    "power": differences.slower,
    "lognormal sleeper": tails.within_a_trial,
    "lognormal sleeper, over processes": tails.over_processes,
    "pooled percentiles": clusters.coverage,
    "stalls": clusters.stalls,
    "open loop, stall": queues.stalled,
    "open loop, M/D/1": queues.poisson,
    "open loop, Lindley": queues.lindley,
    "family": families.none_better,
    "two-state host": host.two_speeds,
    "OOM": memory.too_much,
    "memory": memory.touched,
    "quota": quota.held,
    "rank invariance": order.unmoved,
    "noise warnings": flags.raised,
    "race": races.best_kept,
    "race, one dataset": races.one_dataset,
    "certified limits": races.false_passes,
}
_ROOM_BYTES = 256 << 20


def prove(seed: int, quick: bool, observer: Observer, checks: dict[str, Check] | None = None) -> list[Finding]:
    """Do the checks (all, if not given) and return what they found. One that breaks down has failed.

    Raises BusyError if another run is measuring on this machine.
    """
    proved: list[Finding] = []
    process = ProcessLauncher()
    with process.hold("harness selftest") as launcher, tempfile.TemporaryDirectory(dir=scratch()) as root:
        setting = Setting(Path(root), seed, quick, launcher, observer)
        for name, check in (checks or CHECKS).items():
            observer.say(name)
            begin = time.monotonic()
            findings = _done(name, check, setting)
            verdict = "passed" if all(finding.passed for finding in findings) else "failed"
            observer.say(f"{name}: {verdict} ({time.monotonic() - begin:.1f} s)")
            proved += findings
    return proved


def _done(name: str, check: Check, setting: Setting) -> list[Finding]:
    try:
        return check(setting)
    except HarnessError as error:
        return [Finding(name, "", f"broke down: {error}", "an answer", False)]


def scratch() -> Path | None:
    """Return a folder in memory where there is room, so that thousands of files need not reach a disk."""
    shared = Path("/dev/shm")
    if os.access(shared, os.W_OK | os.X_OK) and shutil.disk_usage(shared).free > _ROOM_BYTES:
        return shared
    return None
