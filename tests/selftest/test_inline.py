"""The launcher without a process leaves what the one with a process leaves."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.evidence.files import read_array
from harness.evidence.folder import read_events, read_outcome, read_requests, request_file
from harness.evidence.run import trial_folder
from harness.launch.base import Terms, run_job
from harness.launch.process import ProcessLauncher
from harness.selftest.field import MEDIAN_MS, Plan, record_of, run
from harness.selftest.inline import InlineLauncher
from harness.spec.outcome import SchedulingCounters
from harness.spec.target import Target
from harness.spec.variant import Variant
from harness.spec.wire import CheckTarget, Trial

SCRIPT = {"latency_ms": MEDIAN_MS, "sigma": 0.1, "process_spread": 0.02, "drift_amplitude": 0.1, "creep": 1e-5}


def job_of(base: Path, **script) -> Trial:
    record = record_of(base, {"one": SCRIPT | script}, Plan(blocks=1, samples=500), seed=5)
    candidate = record.suite.candidate[0]
    return Trial(
        candidate=candidate,
        target=record.targets[0],
        variant=Variant(format="fake", path=candidate.path),
        scenarios=record.suite.scenario,
        synthetic=record.suite.dataset.synthetic,
        seed=5,
        sequence=3,
    )


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def shape(value: object) -> object:
    """Keep a JSON value's keys and types only."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else type(value).__name__


@pytest.fixture
def launched(tmp_path):
    """Do a job in this process ("ours") and in one of its own ("theirs"); returns both outcomes."""

    def call(job):
        places = {"ours": InlineLauncher(), "theirs": ProcessLauncher()}
        return [run_job(place, tmp_path / name, job, Terms(tmp_path)) for name, place in places.items()]

    return call


def test_the_evidence_is_the_same(tmp_path, launched):
    outcome, _ = launched(job_of(tmp_path))
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert outcome.status == "ok"
    assert files(ours) == files(theirs)
    assert read_outcome(ours) == outcome
    by_file = [json.loads((folder / "outcome.json").read_bytes()) for folder in (ours, theirs)]
    assert "launched" not in by_file[0]  # there is no process to tell of
    assert by_file[1].pop("launched")["launcher"] == "process"
    for found in by_file:
        found.pop("scheduling", None)  # zero counts are left out
    assert shape(by_file[0]) == shape(by_file[1])
    assert [e.phase for e in read_events(ours)[0]] == [e.phase for e in read_events(theirs)[0]]
    assert (ours / "telemetry.csv").read_text() == "t_ns\n"
    assert (theirs / "telemetry.csv").read_text().startswith("t_ns,")
    assert {request_file("interactive", array) for array in ("latency", "start")} < set(outcome.files)
    for name in set(outcome.files) - {"slices.npy"}:  # slices tell of the real host
        assert np.array_equal(read_array(ours / name), read_array(theirs / name))


def test_a_virtual_trial_says_the_same_whoever_ran_it(tmp_path, launched):
    timeless = {"load_ns": 0, "duration_ns": 0, "begin_ns": 0, "memory": None, "scheduling": SchedulingCounters()}
    timeless |= {"launched": None, "pids": (), "spent": {}, "files": {}}
    ours, theirs = (msgspec.structs.replace(outcome, **timeless) for outcome in launched(job_of(tmp_path)))
    assert ours == theirs


@pytest.mark.parametrize(("at", "failure"), [("load", "load_error"), ("measure", "crash"), ("first", "load_error")])
def test_failures_have_the_same_names(tmp_path, launched, at, failure):
    found = launched(job_of(tmp_path, fail_at=at, fail_how="raise"))
    assert [outcome.failure for outcome in found] == [failure, failure]
    assert found[0].message == found[1].message
    assert "scripted failure" in (tmp_path / "ours" / "worker.log").read_text()


def test_other_jobs_are_done_too(tmp_path):
    job = CheckTarget(target=Target(name="t", description="", runtime="fake"))
    outcome = run_job(InlineLauncher(), tmp_path / "check", job, Terms(tmp_path))
    assert outcome.status == "ok"
    assert outcome.formats == ("fake",)


def medians(base: Path, scripts: dict, blocks: int) -> dict[str, np.ndarray]:
    folder = run(base, scripts, Plan(blocks=blocks, samples=64, race="off"), seed=2).folder
    paths = {name: [trial_folder(folder, f"{name}@fake", b) for b in range(blocks)] for name in scripts}
    return {
        name: np.array([np.median(read_requests(path, "interactive")) / 1e6 for path in of_trials])
        for name, of_trials in paths.items()
    }


def test_process_effects_are_independent_between_candidates_and_from_block_to_block(tmp_path):
    blocks = 36
    found = medians(
        tmp_path, {name: {"latency_ms": 1.0, "process_spread": 0.02, "seed": n} for n, name in enumerate("ab")}, blocks
    )
    one, two = (np.log(found[name]) for name in "ab")
    for effects in (one, two):
        assert 0.014 < effects.std() < 0.026
        assert abs(np.corrcoef(effects[1:], effects[:-1])[0, 1]) < 0.45
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.45


def test_drift_is_the_hosts_and_the_same_for_all(tmp_path):
    drift = {"latency_ms": 1.0, "drift_amplitude": 0.1}
    found = medians(tmp_path, {"a": drift, "b": drift | {"seed": 7}}, 20)
    swing = np.exp(0.1 * np.sin(2 * np.pi * np.arange(40) / 40))
    assert np.allclose(sorted(np.concatenate([found["a"], found["b"]])), sorted(swing), rtol=1e-5)
    assert np.abs(np.log(found["a"] / found["b"])).max() < 0.1 * 2 * np.pi / 40


def test_a_long_trial_does_not_repeat_its_latencies(tmp_path):
    folder = tmp_path / "long"
    job = msgspec.structs.replace(
        job_of(tmp_path, creep=0.0),
        scenarios=(msgspec.structs.replace(job_of(tmp_path).scenarios[0], seconds=1_000.0, max_samples=9_000),),
    )
    run_job(InlineLauncher(), folder, job, Terms(tmp_path))
    samples = read_requests(folder, "interactive")
    assert len(samples) == 9_000
    assert not np.array_equal(samples[:4_000], samples[4_096:8_096])
