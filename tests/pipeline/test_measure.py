"""Measuring decides by evidence: who is dropped, when it ends, what the finalists get, what a resumed run does."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.analyse.reader import open_run
from harness.evidence.folder import read_job, write_outcome
from harness.evidence.run import read_race
from harness.launch.process import Ended
from harness.pipeline.conclude import conclude
from harness.pipeline.request import Request, open_new
from harness.pipeline.run import run as run_pipeline
from harness.selftest.inline import InlineLauncher
from harness.spec.wire import Launched, Trial

TARGET = 'description = "anywhere"\nruntime = "fake"\n'
SUITE = """
description = "fakes"
targets = ["anywhere"]
[dataset]
path = "x.npz"
[[scenario]]
name = "interactive"
kind = "single_stream"
seconds = {seconds}
[budget]
seconds = {budget}
trials = 3
max_trials = {most}
{candidates}
[policy.limits]
latency_p99_ms = {{ max = {limit} }}
[policy.objectives]
latency_p50_ms = {{ weight = 1, target = 0.01, limit = 100 }}
"""


@pytest.fixture
def suite(tmp_path):
    """Write a suite of fakes (name → median latency in ms, or a whole script) and make its run folder."""

    def make(latencies, budget=600.0, most=12, limit=1000.0, seconds=0.5, seed=3):
        (tmp_path / "targets").mkdir(exist_ok=True)
        (tmp_path / "targets" / "anywhere.toml").write_text(TARGET)
        x = np.arange(20, dtype=np.float32).reshape(20, 1) % 10
        np.savez(tmp_path / "x.npz", x=x, labels=x[:, 0].astype(np.int64))
        rows = []
        for name, script in latencies.items():
            text = script if isinstance(script, str) else f"latency_ms = {script}\n"
            common = "sigma = 0.1\nprocess_spread = 0.02\ndrift_amplitude = 0.05\n"
            (tmp_path / f"{name}.fake.toml").write_text(f"seed = {len(rows)}\n{common}{text}")
            rows.append(f'[[candidate]]\nname = "{name}"\npath = "{name}.fake.toml"\n')
        path = tmp_path / "fakes.toml"
        path.write_text(SUITE.format(candidates="".join(rows), budget=budget, most=most, limit=limit, seconds=seconds))
        return open_new(Request([str(path)], out=tmp_path / "results", seed=seed))

    return make


def run(folder, record, launcher=None):
    return run_pipeline(folder, record, places={"process": launcher or InlineLauncher()})


def row(ranked, name):
    return next(row for row in ranked.ranking.rows if row.candidate == name)


def test_a_clearly_worse_row_is_dropped_after_five_blocks_and_says_so(suite):
    ranked = run(*suite({"fast": 1.0, "near": 1.005, "slow": 2.0}))
    slow = row(ranked, "slow")
    assert slow.status == "dropped" and slow.rank == 3 and not slow.tie
    assert "behind fast@anywhere" in slow.reasons[0].message and slow.reasons[0].data["n"] == 5
    assert len(open_run(ranked.folder).trials("slow@anywhere")) == 5
    assert row(ranked, "fast").status == "measured"


def test_one_percent_apart_is_a_tie(suite):
    ranked = run(*suite({"a": 1.0, "b": 1.01}))
    assert [(r.rank, r.tie) for r in ranked.ranking.rows] == [(1, True), (1, True)]


def test_a_broken_limit_drops_a_row(suite):
    ranked = run(*suite({"kept": 0.5, "broken": 2.0}, limit=1.0))
    broken = row(ranked, "broken")
    assert broken.status == "dropped" and "limit on p99 is certainly broken" in broken.reasons[0].message


def test_the_only_finalist_gets_samples_enough_for_p99_9(suite):
    ranked = run(*suite({"fast": 0.2, "slow": 0.9}))
    fast = row(ranked, "fast").metrics["latency_p99_9_ms"]
    assert fast.high is not None and fast.trials >= 2
    assert row(ranked, "slow").metrics["latency_p99_9_ms"].high is None


def test_nothing_is_dropped_when_the_race_is_off(suite, tmp_path):
    folder, record = suite({"fast": 1.0, "slow": 2.0}, most=6)
    budget = msgspec.structs.replace(record.suite.budget, race="off")
    record = msgspec.structs.replace(record, suite=msgspec.structs.replace(record.suite, budget=budget))
    ranked = run(folder, record)
    assert {r.status for r in ranked.ranking.rows} == {"measured"}
    assert "6 trials" in read_race(folder).ended


def test_the_budget_ends_it_and_that_is_said(suite):
    folder, record = suite({"a": 1.0, "b": 1.025}, budget=4.0, most=30)
    ranked = run(folder, record, launcher=SlowLauncher(0.5))
    assert "the budget of 4 s ended it after" in read_race(folder).ended
    assert any(note.code == "ended" and "budget" in note.message for note in ranked.ranking.notes)
    assert len(open_run(folder).trials("a@anywhere")) < 30


def test_a_cell_that_hung_does_not_cost_the_others_their_blocks_or_their_windows(suite):
    hung = 'latency_ms = 1.0\nfail_at = "load"\nfail_how = "raise"\n'
    folder, record = suite({"a": 1.0, "b": 1.025, "hung": hung}, budget=20.0, most=6)
    run(folder, record, launcher=SlowLauncher(0.2, hung=15.0))
    trials = open_run(folder).trials("a@anywhere")
    assert len(trials) >= 5
    windows = [read_job(trial.folder).scenarios[0].seconds for trial in trials]
    assert min(windows[1:]) > 0.1 * record.suite.scenario[0].seconds
    least = min(windows) / record.suite.scenario[0].seconds
    said = [note.message for note in conclude(folder).ranking.notes if note.code == "windows_shortened"]
    assert said == (
        [f"windows were shortened, to {least:.0%} of the suite's seconds at the least, to keep to its budget"]
        if least < 0.995
        else []
    )


class SlowLauncher(InlineLauncher):
    """Does jobs in this process, and records that each trial took some seconds of wall time."""

    def __init__(self, seconds, **others):
        self.seconds, self.others = seconds, others

    def start(self, folder, job, terms):
        outcome = super().start(folder, job, terms).wait(lambda phase: None)
        if isinstance(job, Trial):
            took = self.others.get(job.candidate.name, self.seconds)
            launched = Launched(launcher="slow", wall_ns=int(took * 1e9))
            outcome = msgspec.structs.replace(outcome, launched=launched)
            write_outcome(folder, outcome)
        return Ended(outcome)


def decided(ranked):
    keys = ("candidate", "status", "rank", "rank_low", "rank_high", "score", "p_best", "tie")
    return [tuple(getattr(row, key) for key in keys) for row in ranked.ranking.rows]


def test_a_resumed_run_decides_as_an_unbroken_one(suite):
    folder, record = suite({"a": 1.0, "b": 1.03, "c": 1.5, "d": 3.0})
    whole = decided(run(folder, record))
    broken = folder.with_name("broken")
    shutil.copytree(folder, broken)
    for path in [*broken.glob("ranking.*"), broken / "race.json"]:
        path.unlink()
    evidence = open_run(broken)
    finished = {}
    for cell in evidence.cells:
        for trial in evidence.trials(cell.name):
            if trial.block >= 3:
                shutil.rmtree(trial.folder)
            else:
                finished[trial.folder] = (trial.folder / "outcome.json").stat().st_mtime_ns
    again = decided(run(broken, record))
    assert again == whole
    assert all((path / "outcome.json").stat().st_mtime_ns == at for path, at in finished.items())


def test_a_resumed_run_does_not_know_of_failures_to_come(suite):
    """The fastest one fails after it has dropped the others; begun again, it still does."""

    class FailsLater(InlineLauncher):
        def start(self, folder, job, terms):
            if getattr(job, "block", 0) == 5 and job.candidate.name == "fast":
                job = msgspec.structs.replace(job, variant=msgspec.structs.replace(job.variant, path="nowhere"))
            return super().start(folder, job, terms)

    folder, record = suite({"fast": 1.0, "near": 1.015, "slow": 2.0})
    run(folder, record, FailsLater())
    before = read_race(folder)
    assert [drop.leader for drop in before.drops] == ["fast@anywhere"]
    (folder / "race.json").unlink()
    run(folder, record, FailsLater())
    assert read_race(folder) == before


def test_a_failed_cell_is_not_run_again_and_publishes_nothing(suite):
    ranked = run(*suite({"good": 1.0, "bad": 'latency_ms = 1.0\nfail_at = "measure"\nfail_how = "raise"\n'}))
    bad = row(ranked, "bad")
    assert (bad.status, bad.failure, bad.metrics) == ("failed", "crash", {})
    assert len(list(Path(ranked.folder / "cells" / "bad@anywhere").iterdir())) == 1
