"""Trials of scripted models without a suite: one job, one real process; and whether processes live."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from harness.evidence.folder import read_events
from harness.launch.base import OnPhase, Terms, run_job
from harness.launch.process import ProcessLauncher
from harness.scenarios.single_stream import SingleStream
from harness.spec.outcome import Event, Outcome
from harness.spec.suite import Candidate, Synthetic
from harness.spec.target import Limits, Target
from harness.spec.variant import Variant
from harness.spec.wire import Job, Trial

T = TypeVar("T")
TIMEOUT_S = 120.0


def trial_of(
    folder: Path, *, seconds: float = 0.2, predict: bool = False, fresh: bool = True, **script: object
) -> Trial:
    """Return a trial of a fake with this script, which is written beside `folder`, the staging root."""
    path = folder.with_name(folder.name + ".fake.toml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in script.items()))
    return Trial(
        candidate=Candidate(name="fake", path=str(path)),
        target=Target(name="place", description="here", runtime="fake"),
        variant=Variant(format="fake", path=path.name),
        scenarios=(SingleStream(name="one", seconds=seconds, max_samples=2000),),
        synthetic=Synthetic(rows=32),
        predict=predict,
        fresh=fresh,
    )


def launched(
    folder: Path,
    job: Job,
    python: str | None = None,
    timeout_s: float = 60.0,
    memory_mib: int | None = None,
    on_phase: OnPhase = lambda phase: None,
) -> Outcome:
    """Do a job in a fresh process; the staging root is the folder beside which `trial_of` writes."""
    terms = Terms(folder.parent, Limits(memory_mib=memory_mib), python, timeout_s)
    return run_job(ProcessLauncher(), folder, job, terms, on_phase)


def as_python(folder: Path, script: str) -> str:
    """Write an executable that is started as the interpreter would be and runs `script` instead."""
    path = folder / "python"
    (folder / "script.py").write_text(script)
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {folder}/script.py "$@"\n')
    path.chmod(0o755)
    return str(path)


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


def descendants(pid: int) -> list[int]:
    """Return the processes below a process, parents before their children."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        children = [int(child) for child in listed.read_text().split()]
    except FileNotFoundError:
        return []
    return [each for child in children for each in (child, *descendants(child))]
