"""Trials of scripted models without a suite: one job, one real process; and whether processes live."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from harness.spec.suite import Candidate, SingleStream, Synthetic
from harness.spec.target import Target
from harness.spec.wire import Artefact, Event, Trial
from harness.trial.folder import read_events

T = TypeVar("T")
TIMEOUT_S = 120.0


def trial_of(folder: Path, memory_limit_bytes: int | None = None, **script: object) -> Trial:
    """Return a trial of a fake with this script, which is written beside `folder`."""
    path = folder.with_name(folder.name + ".fake.toml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in script.items()))
    return Trial(
        candidate=Candidate(name="fake", path=str(path)),
        target=Target(name="place", description="here", runtime="fake"),
        artefact=Artefact(format="fake", path=str(path)),
        scenarios=(SingleStream(name="one", seconds=0.2, max_samples=2000),),
        synthetic=Synthetic(rows=32),
        memory_limit_bytes=memory_limit_bytes,
    )


def phases(folder: Path) -> list[str]:
    """Return the phases a trial marked, in order."""
    events: list[Event] = read_events(folder)[0]
    return [event.phase for event in events]


def wait_for(found: Callable[[], T | None], what: str, timeout_s: float = TIMEOUT_S) -> T:
    """Return what `found` gives once it gives something."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {timeout_s:.0f} s for {what}")


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone(*pids: int) -> None:
    """Fail unless all these processes end."""
    wait_for(lambda: not any(alive(pid) for pid in pids), f"the end of {pids}", 10)
