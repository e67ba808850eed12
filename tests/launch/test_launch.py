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
from harness.evidence.files import read_array
from harness.evidence.folder import read_outcome, read_requests
from harness.launch import job as job_module
from harness.launch.environment import environment
from harness.spec.wire import CheckTarget

from .helpers import as_python, gone, launched, phases, trial_of

TIMEOUT_S = 1.0


def test_a_whole_trial_leaves_its_evidence_and_the_parents_view_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    outcome = launched(folder, trial_of(folder, latency_ms=1.0, predict=True))
    assert outcome.status == "ok", outcome.message
    assert read_outcome(folder) == outcome
    assert (read_requests(folder, "one") == 1_000_000).all()
    assert (np.diff(read_requests(folder, "one", "start")) == 1_000_000).all()
    assert phases(folder) == [
        *("hello", "import", "load", "loaded", "inputs", "first"),
        *("warm_up:one", "measure:one", "measured:one", "predict", "close"),
    ]
    assert set(outcome.files) == {
        "predictions.npy",
        "slices.npy",
        *(f"requests/one/{array}.npy" for array in ("start", "latency", "round")),
    }
    assert read_array(folder / "predictions.npy").shape == (32, 10)
    assert outcome.fresh and outcome.load_ns and outcome.first_inference_ns
    header, *samples = (folder / "telemetry.csv").read_text().splitlines()
    assert {"t_ns", "host.total_s", "process.rss_bytes"} <= set(header.split(",")) and samples


@pytest.mark.parametrize(("fail_at", "phase"), [("load", "load"), ("first", "first"), ("measure", "measure:one")])
def test_a_hang_ends_within_the_time_out_and_names_its_phase(tmp_path: Path, fail_at: str, phase: str) -> None:
    folder = tmp_path / "t"
    begin = time.monotonic()
    outcome = launched(folder, trial_of(folder, fail_at=fail_at, fail_how="hang"), timeout_s=TIMEOUT_S)
    took = time.monotonic() - begin
    assert (outcome.status, outcome.failure, outcome.phase) == ("failed", "timeout", phase)
    assert f"'{phase}'" in outcome.message
    assert TIMEOUT_S <= took < 3 * TIMEOUT_S
    assert read_outcome(folder) == outcome


def test_the_time_out_is_per_phase_not_per_trial(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    begin = time.monotonic()
    outcome = launched(folder, trial_of(folder, latency_ms=350.0, clock="real"), timeout_s=0.7)
    assert outcome.status == "ok", outcome.message
    assert time.monotonic() - begin > 1.4, "twice the time-out"


def test_what_a_child_started_ends_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    outcome = launched(folder, trial_of(folder, fail_at="first", fail_how="grandchild"), timeout_s=TIMEOUT_S)
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
    outcome = launched(folder, trial_of(folder, fail_at="measure", fail_how=how))
    assert (outcome.status, outcome.failure, outcome.phase) == ("failed", failure, "measure:one")
    assert says in outcome.message
    assert read_outcome(folder) == outcome


@pytest.mark.parametrize(
    ("fail_at", "predict"), [("first", False), ("measure", False), ("measure", True), ("predict", True)]
)
def test_nan_is_an_output_error_whenever_it_begins(tmp_path: Path, fail_at: str, predict: bool) -> None:
    folder = tmp_path / "t"
    outcome = launched(folder, trial_of(folder, fail_at=fail_at, fail_how="nan", predict=predict))
    assert (outcome.failure, outcome.status) == ("output_error", "failed")
    assert "NaN or infinite" in outcome.message


def test_allocating_without_end_ends_at_the_limit(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    outcome = launched(folder, trial_of(folder, fail_at="measure", fail_how="allocate"), memory_mib=256)
    assert (outcome.status, outcome.failure) == ("failed", "oom")


@pytest.mark.parametrize("fail_at", ["load", "predict"])
def test_a_flood_of_output_is_cut_and_harms_nothing(tmp_path: Path, fail_at: str) -> None:
    folder = tmp_path / "t"
    outcome = launched(folder, trial_of(folder, fail_at=fail_at, fail_how="flood", predict=True))
    assert outcome.status == "ok", outcome.message
    assert (folder / "worker.log").stat().st_size <= job_module._LOG_LIMIT


def test_the_end_of_a_cut_log_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    script = f"print('x' * {job_module._LOG_LIMIT}); print('the last word')"
    launched(folder, trial_of(folder), python=as_python(tmp_path, script))
    log = (folder / "worker.log").read_text()
    assert log.endswith("the last word\n")
    assert len(log) <= job_module._LOG_LIMIT


def test_an_interpreter_that_is_not_there_fails_the_job_not_the_program(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    target = trial_of(folder).target
    outcome = launched(folder, CheckTarget(target=target), python=str(tmp_path / "no-python"))
    assert (outcome.status, outcome.failure) == ("failed", "crash")
    assert "no-python" in outcome.message and "No such file" in outcome.message


def test_a_damaged_outcome_of_the_child_is_a_protocol_failure(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    script = "import sys, pathlib; pathlib.Path(sys.argv[4], 'outcome.json').write_text('{\"status\": ')"
    outcome = launched(folder, trial_of(folder), python=as_python(tmp_path, script))
    assert (outcome.status, outcome.failure) == ("failed", "protocol")
    assert "outcome.json" in outcome.message
    assert read_outcome(folder) == outcome


def test_a_named_failure_is_kept_though_the_process_then_crashes(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    left = '{"status": "failed", "failure": "oom", "message": "bad_alloc"}'
    script = f"import os, sys, pathlib; pathlib.Path(sys.argv[4], 'outcome.json').write_text('{left}'); os.abort()"
    outcome = launched(folder, trial_of(folder), python=as_python(tmp_path, script))
    assert (outcome.failure, outcome.message) == ("oom", "bad_alloc")


def test_a_crash_after_a_good_outcome_publishes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    script = "import os, sys, pathlib; pathlib.Path(sys.argv[4], 'outcome.json').write_text('{\"status\": \"ok\"}'); "
    outcome = launched(folder, trial_of(folder), python=as_python(tmp_path, script + "os.abort()"))
    assert (outcome.status, outcome.failure) == ("failed", "crash")
    assert read_outcome(folder) == outcome


def test_the_child_says_when_it_could_not_write(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    with pytest.raises(EvidenceError, match="could not write its evidence") as caught:
        launched(folder, trial_of(folder), python=as_python(tmp_path, "import sys; sys.exit(74)"))
    assert str(folder) in str(caught.value)
    assert not (folder / "outcome.json").exists()


def test_a_child_whose_parent_died_before_it_was_up_does_not_begin(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    (folder / "job.json").write_bytes(msgspec.json.encode(trial_of(folder)))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    env = {**os.environ, "HARNESS_PARENT": str(dead.pid)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "harness.worker", str(folder), str(tmp_path)], env=env, timeout=60
    )
    assert done.returncode == 1
    assert not (folder / "outcome.json").exists() and not (folder / "events.jsonl").exists()


def test_a_stopped_child_counts_as_hanging(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    script = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"
    outcome = launched(folder, trial_of(folder), python=as_python(tmp_path, script), timeout_s=1.0)
    assert (outcome.failure, outcome.phase) == ("timeout", "")
    assert "'start'" in outcome.message


def test_an_interrupted_parent_leaves_no_child(tmp_path: Path) -> None:
    folder, seen = tmp_path / "t", []

    def interrupt(phase: str) -> None:
        if phase == "first":
            seen.append(int((folder / "worker.log").read_text().split()[1]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launched(folder, trial_of(folder, fail_at="first", fail_how="grandchild"), on_phase=interrupt)
    gone(seen[0])
    assert not (folder / "outcome.json").exists()


def test_thread_settings_reach_the_child_and_the_rest_is_inherited() -> None:
    env = environment({"PATH": "/bin", "OMP_NUM_THREADS": "64"}, 2)
    assert env["OMP_NUM_THREADS"] == env["MKL_NUM_THREADS"] == "2"
    assert env["PATH"] == "/bin"


def test_ticks_come_while_the_child_works_and_name_its_phase(tmp_path: Path) -> None:
    folder, seen = tmp_path / "t", []
    launched(folder, trial_of(folder, fail_at="first", fail_how="hang"), timeout_s=1.0, on_phase=seen.append)
    assert seen[-1] == "first"


def test_predicting_a_dataset_slowly_is_not_hanging(tmp_path: Path) -> None:
    """32 rows in batches of 0.3 s take far longer than the time-out, which is for about a second of them."""
    folder = tmp_path / "t"
    job = trial_of(folder, latency_ms=300.0, clock="real", predict=True, seconds=0.02)
    outcome = launched(folder, job, timeout_s=1.8)
    assert outcome.status == "ok", outcome.message
    assert outcome.spent["predict"] > 2e9
    assert phases(folder).count("predict") >= 2


def test_a_prediction_that_never_comes_ends_by_the_time_out(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    outcome = launched(folder, trial_of(folder, fail_at="predict", fail_how="hang", predict=True), timeout_s=1.0)
    assert (outcome.failure, outcome.phase) == ("timeout", "predict")


def test_a_process_ends_as_soon_as_its_evidence_is_written(tmp_path: Path) -> None:
    """What a library registered for the end of the interpreter is not waited for."""
    folder, late = tmp_path / "t", tmp_path / "late"
    (tmp_path / "sitecustomize.py").write_text(
        f"import atexit, pathlib; atexit.register(pathlib.Path({str(late)!r}).touch)"
    )
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    script.chmod(0o755)
    assert launched(folder, trial_of(folder), python=str(script)).status == "ok"
    assert not late.exists()
    subprocess.run([str(script), "-c", ""], check=True)
    assert late.exists(), "the hook works where the interpreter ends by itself"
