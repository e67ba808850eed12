"""What goes wrong inside the child: which name it gets, and what a full disk or a dead parent means there."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness.evidence.folder import EventLog, read_outcome
from harness.runtimes.base import InputError, ModelError, OutputError
from harness.spec.wire import DISK_FULL, PARENT_VARIABLE
from harness.worker import work as worker
from harness.worker.turns import Turns

from ..launch.helpers import gone, phases, trial_of, wait_for


@pytest.mark.parametrize(
    ("error", "phase", "failure", "message"),
    [
        (ModelError("corrupt"), "load", "load_error", "corrupt"),
        (ModelError("corrupt"), "measure:one", "load_error", "corrupt"),
        (OutputError("2 are NaN"), "predict", "output_error", "2 are NaN"),
        (InputError("no guess works"), "inputs", "input_error", "no guess works"),
        (MemoryError(), "measure:one", "oom", "MemoryError: MemoryError"),
        (RuntimeError("std::bad_alloc"), "measure:one", "oom", "RuntimeError: std::bad_alloc"),
        (RuntimeError("Failed to allocate memory"), "load", "oom", "RuntimeError: Failed to allocate memory"),
        (RuntimeError("odd"), "load", "load_error", "RuntimeError: odd"),
        (RuntimeError("odd"), "first", "load_error", "RuntimeError: odd"),
        (RuntimeError("odd"), "warm_up:one", "crash", "RuntimeError: odd"),
        (RuntimeError("odd"), "predict", "crash", "RuntimeError: odd"),
        (FileNotFoundError(2, "no such"), "load", "load_error", "FileNotFoundError: [Errno 2] no such"),
        (KeyError("x"), "measure:one", "crash", "KeyError: 'x'"),
        (ImportError("no libx"), "import", "load_error", "ImportError: no libx"),
    ],
)
def test_each_error_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, phase: str, failure: str, message: str
) -> None:
    def fail(*_: object) -> None:
        log.mark(phase)
        raise error

    log = EventLog(tmp_path)
    monkeypatch.setattr(worker, "perform", fail)
    outcome = worker.attempt(trial_of(tmp_path / "t"), tmp_path, log, Turns(), fresh=True)
    assert (outcome.status, outcome.failure, outcome.phase) == ("failed", failure, phase)
    assert outcome.message == message
    assert outcome.by == "child"


def test_a_very_long_message_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("x" * 100_000)

    monkeypatch.setattr(worker, "perform", fail)
    outcome = worker.attempt(trial_of(tmp_path / "t"), tmp_path, EventLog(tmp_path), Turns(), fresh=True)
    assert len(outcome.message) == 2000


@pytest.mark.parametrize(
    "name", ["events.jsonl", "requests/one/round.npy", "slices.npy", "predictions.npy", "outcome.json.tmp"]
)
def test_a_file_without_room_is_the_disks_fault_not_the_models(tmp_path: Path, name: str) -> None:
    """/dev/full refuses every byte, as a full disk does, at whichever file it stands for."""
    folder = written(tmp_path / "t", predict=True)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).symlink_to("/dev/full")
    done = start(folder)
    assert done.wait(60) == DISK_FULL
    assert not (folder / "outcome.json").exists()


@pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "fork"])
def test_a_job_that_an_interpreter_cannot_read_fails_the_job_not_the_run(tmp_path: Path, fresh: bool) -> None:
    """As where a target's interpreter has an older version, or lacks a plug-in that the suite needs."""
    folder = written(tmp_path / "t")
    job = (folder / "job.json").read_text().replace("single_stream", "of_a_plug_in")
    (folder / "job.json").write_text(job)
    assert worker.work(folder, tmp_path, fresh=fresh) == 0
    outcome = read_outcome(folder)
    assert (outcome.status, outcome.failure) == ("failed", "protocol")
    assert "of_a_plug_in" in outcome.message and sys.executable in outcome.message and "version" in outcome.message


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    folder = written(tmp_path / "t", fail_at="first", fail_how="hang")
    script = f"import subprocess, sys, time; subprocess.Popen({command(folder)!r}); time.sleep(600)"
    env = {key: value for key, value in os.environ.items() if key != PARENT_VARIABLE}
    parent = subprocess.Popen([sys.executable, "-c", script], env=env)
    wait_for(lambda: "first" in phases(folder), "the child's first inference")
    (child,) = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    parent.kill()
    parent.wait()
    gone(int(child))


def test_the_memory_limit_is_the_soft_one_and_never_above_the_hard_one() -> None:
    script = (
        "import resource\nfrom harness.worker.process import limit_memory\n"
        "limit_memory(None); print(*resource.getrlimit(resource.RLIMIT_DATA))\n"
        "limit_memory(1 << 30); print(*resource.getrlimit(resource.RLIMIT_DATA))\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (1 << 28, 1 << 28)); limit_memory(1 << 30)\n"
        "print(*resource.getrlimit(resource.RLIMIT_DATA))\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    before = " ".join(map(str, resource.getrlimit(resource.RLIMIT_DATA)))
    hard = before.split()[1]
    assert said.stdout.splitlines() == [before, f"{1 << 30} {hard}", f"{1 << 28} {1 << 28}"]


def command(folder: Path) -> list[str]:
    """Return the command that does the job in `folder`."""
    return [sys.executable, "-P", "-m", "harness.worker", str(folder), str(folder.parent)]


def written(folder: Path, *, predict: bool = False, **script: object) -> Path:
    """Make a folder with a job in it."""
    folder.mkdir(parents=True)
    (folder / "job.json").write_bytes(msgspec.json.encode(trial_of(folder, predict=predict, **script)))
    return folder


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start the child as the parent would."""
    env = {**os.environ, PARENT_VARIABLE: str(os.getpid())}
    with (folder / "worker.log").open("wb") as log:
        return subprocess.Popen(command(folder), env=env, stdout=log, stderr=log)
