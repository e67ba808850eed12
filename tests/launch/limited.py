"""Jobs under limits on this machine, where it can enforce them: skipping with the reason, and models that are busy."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.launch.means import find

BUSY = """
import time

from harness.runtimes.fake import FakeRuntime


class MadeRuntime(FakeRuntime):
    def load(self, *args):
        session = super().load(*args)
        answer, cpu_ns = session.infer, round(session._script.latency_ms * 1e6)

        def busy(feed):
            end = time.thread_time_ns() + cpu_ns
            while time.thread_time_ns() < end:
                pass
            return answer(feed)

        session.infer, session.clock = busy, time.perf_counter_ns
        return session
"""
"""A runtime whose requests take `latency_ms` of CPU time."""


def require(*controllers: str) -> None:
    """Skip the test where a cgroup with one of these controllers cannot be made."""
    missing = {name: why for name, why in find().missing.items() if name in controllers}
    if missing:
        pytest.skip("; ".join(f"{name}: {why}" for name, why in missing.items()))


def host_takes() -> float:
    """Return what part of a busy tenth of a second this process waits for a CPU that others use."""
    delay = Path("/proc/self/schedstat")
    before, begin = int(delay.read_text().split()[1]), time.process_time()
    while time.process_time() - begin < 0.1:
        pass
    waited = int(delay.read_text().split()[1]) - before
    return waited / (waited + 1e8)


def left() -> list[str]:
    """Return the names of all cgroups of jobs on this machine."""
    folders = {place.folder for place in find().places.values()}
    return [path.name for folder in folders for path in folder.glob("harness-*")]


def cgroups_of(pid: int) -> str:
    """Return the text of a process's memberships; empty when it has ended."""
    path = Path(f"/proc/{pid}/cgroup")
    return path.read_text() if path.exists() else ""
