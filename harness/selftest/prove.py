"""All checks, one after another, while this process holds the machine."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from harness.errors import HarnessError
from harness.selftest import differences, flags, memory, order, races, tails
from harness.selftest.records import Finding, Setting
from harness.trial.lock import machine_lock

Check = Callable[[Setting], list[Finding]]

CHECKS: dict[str, Check] = {
    "A/A": differences.same,
    "power": differences.slower,
    "lognormal sleeper": tails.within_a_trial,
    "lognormal sleeper, over processes": tails.over_processes,
    "OOM": memory.too_much,
    "memory": memory.touched,
    "rank invariance": order.unmoved,
    "noise flags": flags.raised,
    "race": races.best_kept,
    "certified limits": races.false_passes,
}
_ROOM_BYTES = 256 << 20


class Proved(NamedTuple):
    """A finding and the seconds its check took."""

    finding: Finding
    seconds: float


class Watcher(Protocol):
    """Someone who follows the proof."""

    def begin(self, name: str) -> None:
        """Hear that a check begins."""

    def step(self, done: int, of: int) -> None:
        """Hear how far the check is."""

    def end(self, name: str, passed: bool, seconds: float) -> None:
        """Hear how it ended."""


def prove(seed: int, quick: bool, watcher: Watcher, checks: dict[str, Check] | None = None) -> list[Proved]:
    """Do the checks (all, if not given) and return what they found. One that breaks down has failed.

    Raises:
        BusyError: another run is measuring on this machine.
    """
    proved: list[Proved] = []
    with machine_lock("harness selftest") as lock, tempfile.TemporaryDirectory(dir=scratch()) as root:
        setting = Setting(Path(root), seed, quick, watcher.step, (lock,))
        for name, check in (checks or CHECKS).items():
            watcher.begin(name)
            begin = time.monotonic()
            findings = _done(name, check, setting)
            seconds = time.monotonic() - begin
            watcher.end(name, all(finding.passed for finding in findings), seconds)
            proved += [Proved(finding, seconds) for finding in findings]
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
