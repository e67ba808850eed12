"""What jobs have started ends with this process too, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.evidence.folder import read_events
from harness.launch import process as process_module
from harness.launch.child import Spawned
from harness.launch.guard import guard
from harness.launch.lock import machine_lock

from .helpers import alive, descendants, gone, launched, trial_of, wait_for
from .installed import install
from .test_rounds import state
from .test_templates import FORKS_ANOTHER

SLEEP = ["sleep", "3600"]
PARENT = """
import sys
from pathlib import Path
import msgspec
sys.path.insert(0, {tests!r})
from harness.launch.process import ProcessLauncher
from harness.launch.rounds import take_turns
from launch.test_rounds import starts_of
from launch.test_templates import trial_on
base = Path({base!r})
first, hang = starts_of(base, {{"a": {{}}, "hang": {{"fail_at": "first", "fail_how": "hang"}}}})
starts = [first._replace(job=msgspec.structs.replace(trial_on(base / "a", "forks"), fresh={fresh})), hang]
with ProcessLauncher().hold("mine") as held, held.block([(start.job, start.terms) for start in starts]) as launcher:
    take_turns([start._replace(launcher=launcher) for start in starts], lambda number, count: range(count))
"""


@pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "fork"])
def test_what_a_stopped_job_had_forked_ends_with_a_killed_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    """Else it would stay stopped for good, and hold the machine's lock."""
    install(tmp_path, monkeypatch, "forks", FORKS_ANOTHER)
    script = PARENT.format(tests=str(Path(__file__).parents[1]), base=str(tmp_path), fresh=fresh)
    parent = subprocess.Popen([sys.executable, "-c", script])
    wait_for(lambda: "first" in [event.phase for event in read_events(tmp_path / "hang")[0]], "the turn of the other")
    below = descendants(parent.pid)
    forked = int((tmp_path / "a" / "worker.log").read_text().split()[0])
    assert forked in below and state(forked) == "T"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    gone(*below)
    with machine_lock("theirs"):
        pass


def test_only_groups_that_live_are_ended() -> None:
    with subprocess.Popen(SLEEP, start_new_session=True) as known, subprocess.Popen(SLEEP) as unknown:
        dropped = subprocess.Popen(SLEEP, start_new_session=True)
        with guard() as own:
            for pid in (dropped.pid, known.pid):
                own.add(pid)
            own.drop(dropped.pid)
        assert known.wait(10) == -signal.SIGKILL
        assert alive(dropped.pid) and alive(unknown.pid)
        unknown.kill()
        dropped.kill()
        dropped.wait()


def test_a_guard_that_was_killed_disturbs_nobody() -> None:
    with guard() as own:
        (shell,) = set(descendants(os.getpid()))
        os.kill(shell, signal.SIGKILL)
        gone(shell)
        own.add(os.getpid())
        own.drop(os.getpid())


def test_a_start_that_is_interrupted_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the probes are made, as where a GPU's library is loaded."""
    seen: list[int] = []

    def interrupted(folder: Path, job: object, timeout_s: float, child: Spawned, *_: object) -> None:
        seen.append(child.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(process_module, "ProcessJob", interrupted)
    with pytest.raises(KeyboardInterrupt):
        launched(tmp_path / "t", trial_of(tmp_path / "t"))
    gone(*seen)
    assert not Path(f"/proc/{seen[0]}").exists(), "it was waited for"


def test_a_process_that_cannot_be_watched_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int) -> int:
        raise OSError(24, "Too many open files")

    process = subprocess.Popen(SLEEP, start_new_session=True)
    monkeypatch.setattr(os, "pidfd_open", refused)
    with pytest.raises(OSError, match="Too many"):
        Spawned(process)
    assert process.returncode == -signal.SIGKILL
