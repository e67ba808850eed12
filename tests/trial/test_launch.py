"""One job in a real child: how it may end, and that nothing of it is left when it has."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.errors import EvidenceError
from harness.spec.wire import Probe
from harness.trial import launch
from harness.trial.folder import read_outcome
from harness.trial.launch import environment, run_job

from .helpers import gone, phases, trial_of

TIMEOUT_S = 2.5


def test_a_whole_trial_leaves_its_evidence_and_the_parents_view_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    outcome = run_job(folder, trial_of(folder, latency_ms=1.0))
    assert outcome.status == "ok", outcome.message
    assert read_outcome(folder) == outcome
    assert (np.load(folder / "samples" / "one.npy") == 1_000_000).all()
    assert phases(folder) == [
        *("hello", "import", "load", "first", "warm_up:one", "measure:one", "measured:one", "predict", "close")
    ]
    header, *views = (folder / "telemetry.csv").read_text().splitlines()
    assert header.startswith("t_ns,rss_bytes") and views


@pytest.mark.parametrize(("fail_at", "phase"), [("load", "load"), ("first", "first"), ("measure", "measure:one")])
def test_a_hang_ends_within_the_time_out_and_names_its_phase(tmp_path: Path, fail_at: str, phase: str) -> None:
    folder = tmp_path / "t"
    begin = time.monotonic()
    outcome = run_job(folder, trial_of(folder, fail_at=fail_at, fail_how="hang"), timeout_s=TIMEOUT_S)
    took = time.monotonic() - begin
    assert (outcome.status, outcome.failure, outcome.phase) == ("failed", "timeout", phase)
    assert f"'{phase}'" in outcome.message
    assert TIMEOUT_S <= took < 3 * TIMEOUT_S
    assert read_outcome(folder) == outcome


def test_the_time_out_is_per_phase_not_per_trial(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    slow = trial_of(folder, latency_ms=700.0, clock="real")
    slow = msgspec.structs.replace(slow, warm_up=type(slow.warm_up)(max_seconds=1.0))
    begin = time.monotonic()
    outcome = run_job(folder, slow, timeout_s=TIMEOUT_S)
    assert outcome.status == "ok", outcome.message
    assert time.monotonic() - begin > TIMEOUT_S


def test_what_a_child_started_ends_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    outcome = run_job(folder, trial_of(folder, fail_at="first", fail_how="grandchild"), timeout_s=TIMEOUT_S)
    assert outcome.failure == "timeout"
    word, pid = (folder / "worker.log").read_text().split()[:2]
    assert word == "grandchild"
    gone(int(pid))


@pytest.mark.parametrize(
    ("how", "failure", "says"),
    [
        ("segfault", "crash", "SIGSEGV"),
        ("exit0", "protocol", "exited 0"),
        ("raise", "crash", "RuntimeError: scripted failure"),
    ],
)
def test_a_failure_while_measuring_has_a_name(tmp_path: Path, how: str, failure: str, says: str) -> None:
    folder = tmp_path / "t"
    outcome = run_job(folder, trial_of(folder, fail_at="measure", fail_how=how))
    assert (outcome.status, outcome.failure, outcome.phase) == ("failed", failure, "measure:one")
    assert says in outcome.message
    assert read_outcome(folder) == outcome


@pytest.mark.parametrize("fail_at", ["first", "measure", "predict"])
def test_nan_is_an_output_error_whenever_it_begins(tmp_path: Path, fail_at: str) -> None:
    folder = tmp_path / "t"
    outcome = run_job(folder, trial_of(folder, fail_at=fail_at, fail_how="nan"))
    assert (outcome.failure, outcome.status) == ("output_error", "failed")
    assert "NaN or infinite" in outcome.message


def test_allocating_without_end_ends_at_the_limit(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    outcome = run_job(folder, trial_of(folder, 256 << 20, fail_at="measure", fail_how="allocate"))
    assert (outcome.status, outcome.failure) == ("failed", "oom")


@pytest.mark.parametrize("fail_at", ["load", "predict"])
def test_a_flood_of_output_is_cut_and_harms_nothing(tmp_path: Path, fail_at: str) -> None:
    folder = tmp_path / "t"
    outcome = run_job(folder, trial_of(folder, fail_at=fail_at, fail_how="flood"))
    assert outcome.status == "ok", outcome.message
    assert (folder / "worker.log").stat().st_size <= launch._LOG_LIMIT


def test_the_end_of_a_cut_log_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    script = f"print('x' * {launch._LOG_LIMIT}); print('the last word')"
    run_job(folder, trial_of(folder), python=_as_python(tmp_path, script))
    log = (folder / "worker.log").read_text()
    assert log.endswith("the last word\n")
    assert len(log) <= launch._LOG_LIMIT


def test_an_interpreter_that_is_not_there_fails_the_job_not_the_program(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    target = trial_of(folder).target
    outcome = run_job(folder, Probe(target=target), python=str(tmp_path / "no-python"))
    assert (outcome.status, outcome.failure) == ("failed", "crash")
    assert "no-python" in outcome.message and "No such file" in outcome.message


def test_a_damaged_outcome_of_the_child_is_a_protocol_failure(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    script = "import sys, pathlib; pathlib.Path(sys.argv[4], 'outcome.json').write_text('{\"status\": ')"
    outcome = run_job(folder, trial_of(folder), python=_as_python(tmp_path, script))
    assert (outcome.status, outcome.failure) == ("failed", "protocol")
    assert "outcome.json" in outcome.message
    assert read_outcome(folder) == outcome


def test_a_named_failure_is_kept_though_the_process_then_crashes(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    left = '{"status": "failed", "failure": "oom", "message": "bad_alloc"}'
    script = f"import os, sys, pathlib; pathlib.Path(sys.argv[4], 'outcome.json').write_text('{left}'); os.abort()"
    outcome = run_job(folder, trial_of(folder), python=_as_python(tmp_path, script))
    assert (outcome.failure, outcome.message) == ("oom", "bad_alloc")


def test_a_crash_after_a_good_outcome_publishes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    script = "import os, sys, pathlib; pathlib.Path(sys.argv[4], 'outcome.json').write_text('{\"status\": \"ok\"}'); "
    outcome = run_job(folder, trial_of(folder), python=_as_python(tmp_path, script + "os.abort()"))
    assert (outcome.status, outcome.failure) == ("failed", "crash")
    assert read_outcome(folder) == outcome


def test_the_child_says_when_it_could_not_write(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    with pytest.raises(EvidenceError, match="could not write its evidence") as caught:
        run_job(folder, trial_of(folder), python=_as_python(tmp_path, "import sys; sys.exit(74)"))
    assert str(folder) in str(caught.value)
    assert not (folder / "outcome.json").exists()


def test_a_child_whose_parent_died_before_it_was_up_does_not_begin(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    (folder / "job.json").write_bytes(msgspec.json.encode(trial_of(folder)))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    env = {**os.environ, "HARNESS_PARENT": str(dead.pid)}
    done = subprocess.run([sys.executable, "-P", "-m", "harness.worker", str(folder)], env=env, timeout=60)
    assert done.returncode == 1
    assert not (folder / "outcome.json").exists() and not (folder / "events.jsonl").exists()


def test_a_stopped_child_counts_as_hanging(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    script = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"
    outcome = run_job(folder, trial_of(folder), python=_as_python(tmp_path, script), timeout_s=1.0)
    assert (outcome.failure, outcome.phase) == ("timeout", "")
    assert "'start'" in outcome.message


def test_an_interrupted_parent_leaves_no_child(tmp_path: Path) -> None:
    folder, seen = tmp_path / "t", []

    def interrupt(phase: str) -> None:
        if phase == "first":
            seen.append(int((folder / "worker.log").read_text().split()[1]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(folder, trial_of(folder, fail_at="first", fail_how="grandchild"), on_tick=interrupt)
    gone(seen[0])
    assert not (folder / "outcome.json").exists()


def test_thread_settings_reach_the_child_and_the_rest_is_inherited() -> None:
    env = environment({"PATH": "/bin", "OMP_NUM_THREADS": "64"}, 2)
    assert env["OMP_NUM_THREADS"] == env["MKL_NUM_THREADS"] == "2"
    assert env["PATH"] == "/bin"
    assert environment({"OMP_NUM_THREADS": "64"}, None)["OMP_NUM_THREADS"] == "64"


def test_ticks_come_while_the_child_works_and_name_its_phase(tmp_path: Path) -> None:
    folder, seen = tmp_path / "t", []
    run_job(folder, trial_of(folder, fail_at="first", fail_how="hang"), timeout_s=1.0, on_tick=seen.append)
    assert seen[-1] == "first"


def _as_python(folder: Path, script: str) -> str:
    """Write an executable that is started as the interpreter would be and runs `script` instead."""
    path = folder / "python"
    (folder / "script.py").write_text(script)
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {folder}/script.py "$@"\n')
    path.chmod(0o755)
    return str(path)
