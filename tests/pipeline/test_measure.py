"""Measuring decides by evidence: who is dropped, when it ends, what the finalists get, who shares a block."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from harness.analyse.reader import open_run
from harness.evidence.files import write_json
from harness.evidence.folder import read_job, read_outcome
from harness.evidence.run import cold_folder, read_block, read_prepared, read_race, trial_folder
from harness.launch.rounds import Start
from harness.pipeline import block as blocks
from harness.pipeline.run import run as run_pipeline
from harness.selftest.inline import InlineLauncher

from .scripted import P50, TakesTurns, raced, row, run


def test_a_clearly_worse_row_is_dropped_after_three_blocks_and_says_so(suite):
    ranked = run(*suite({"fast": 1.0, "near": 1.005, "slow": 2.0}))
    slow = row(ranked, "slow")
    assert (slow.status, slow.place, slow.may_be_best) == ("dropped", 3, False)
    dropped = next(reason for reason in slow.reasons if reason.code == "dropped")
    assert "behind fast@anywhere" in dropped.message and dropped.data["n"] == 3
    assert len(open_run(ranked.folder).trials("slow@anywhere")) == 3
    assert row(ranked, "fast").status == "measured"


def test_half_a_percent_apart_both_may_be_the_best(suite):
    ranked = run(*suite({"a": 1.0, "b": 1.005}))
    assert [(r.rank_low, r.rank_high, r.may_be_best) for r in ranked.ranking.rows] == [(1, 2, True)] * 2


def test_a_broken_limit_drops_a_row(suite):
    ranked = run(*suite({"kept": 0.5, "broken": 2.0}, limit=1.0))
    broken = row(ranked, "broken")
    assert broken.status == "dropped"
    assert any("limit on p99 is certainly broken" in reason.message for reason in broken.reasons)


def test_the_only_finalist_gets_samples_enough_for_p99_9(suite):
    ranked = run(*suite({"fast": 0.2, "slow": 0.9}))
    fast = row(ranked, "fast").metrics["latency_p99_9_ms"]
    assert fast.high is not None and fast.trials >= 2
    assert row(ranked, "slow").metrics["latency_p99_9_ms"].high is None


def test_nothing_is_dropped_when_the_race_is_off(suite):
    folder, record = suite({"fast": 1.0, "slow": 2.0}, most=6)
    ranked = run(folder, raced(record, "off"))
    assert {r.status for r in ranked.ranking.rows} == {"measured"}
    assert "6 trials" in read_race(folder).ended


def test_a_failed_cell_is_not_run_again_and_publishes_nothing(suite):
    """It fails at its 151st inference, which its first process does not come to."""
    bad = 'latency_ms = 1.0\nfail_at = "measure"\nfail_how = "raise"\n'
    ranked = run(*suite({"good": 1.0, "bad": bad}))
    found = row(ranked, "bad")
    assert (found.status, found.failure, found.metrics) == ("failed", "crash", {})
    assert sorted(path.name for path in (ranked.folder / "cells" / "bad@anywhere").iterdir()) == ["cold-01", "trial-01"]


@pytest.mark.parametrize(
    ("objective", "cold"),
    [
        (P50, 0),
        ("memory_peak_mib = { weight = 1, target = 1, limit = 100000 }\n", 1),
        ("load_ms = { weight = 1, target = 0.001, limit = 100000 }\n", 1),
    ],
)
def test_a_policy_about_starts_or_memory_gets_a_fresh_process_in_each_block(suite, objective, cold):
    folder, record = suite({"a": 1.0, "b": 1.5}, most=4, objectives=objective)
    ranked = run(folder, raced(record, "off"))
    for name in ("a@anywhere", "b@anywhere"):
        found = sorted(path.name for path in (folder / "cells" / name).glob("cold-*"))
        assert found == [f"cold-{number:02d}" for number in range(1, 2 + 4 * cold)]
    if cold:
        job = read_job(cold_folder(folder, "a@anywhere", 5))
        assert job.fresh and not job.predict
        metric = objective.partition(" ")[0]
        assert row(ranked, "a").metrics[metric].trials == 5


def test_a_failed_cold_trial_is_the_cells_failure(suite):
    class FailsLater(InlineLauncher):
        def start(self, folder, job, terms):
            if folder.name == "cold-03" and job.candidate.name == "bad":
                job = msgspec.structs.replace(job, variant=msgspec.structs.replace(job.variant, path="nowhere"))
            return super().start(folder, job, terms)

    objective = "memory_peak_mib = { weight = 1, target = 1, limit = 100000 }\n"
    ranked = run(*suite({"good": 1.0, "bad": 1.0}, most=4, objectives=objective), launcher=FailsLater())
    assert (row(ranked, "bad").status, row(ranked, "bad").failure) == ("failed", "load_error")
    assert len(open_run(ranked.folder).trials("bad@anywhere")) == 2, "of the block it failed in, and of none after"


def groups_of(folder):
    return [read_block(folder, number).groups for number in range(len(list((folder / "blocks").iterdir())))]


def free(monkeypatch, available):
    """Let blocks find this much memory free."""
    memory = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=available))
    monkeypatch.setattr(blocks, "psutil", memory)


def test_all_cells_of_a_block_take_turns_with_each_other(suite, monkeypatch):
    sat = []

    def seen(starts, order, on_phase):
        sat.append([start.folder.parent.name for start in starts])
        return taken(starts, order, on_phase)

    taken = blocks.take_turns
    monkeypatch.setattr(blocks, "take_turns", seen)
    folder, record = suite({"a": 1.0, "b": 1.5, "c": 2.0}, most=3)
    run(folder, raced(record, "off"), TakesTurns())
    assert [sorted(names) for names in sat] == [sorted(groups[0]) for groups in groups_of(folder)]
    assert all(sorted(names) == ["a@anywhere", "b@anywhere", "c@anywhere"] for names in sat) and len(sat) == 3


def test_cells_that_do_not_fit_into_memory_together_share_in_groups(suite, monkeypatch):
    folder, record = suite({"a": 1.0, "b": 1.5, "c": 2.0}, most=3)
    run_with = raced(record, "off")
    free(monkeypatch, 1 << 50)
    run(folder, run_with, TakesTurns())
    needed = [cell.speed.memory_bytes for cell in read_prepared(folder).cells.values()]
    assert [len(groups) for groups in groups_of(folder)] == [1, 1, 1]
    folder, record = suite({"a": 1.0, "b": 1.5, "c": 2.0}, most=3)
    free(monkeypatch, round(2.5 * max(needed) / 0.6))
    ranked = run(folder, raced(record, "off"), TakesTurns())
    for groups in groups_of(folder):
        assert [len(group) for group in groups] == [2, 1]
        assert sorted(name for group in groups for name in group) == ["a@anywhere", "b@anywhere", "c@anywhere"]
    assert {r.metrics["latency_p50_ms"].trials for r in ranked.ranking.rows} == {3}


def test_launchers_that_do_not_take_turns_run_their_trials_alone(suite):
    folder, record = suite({"a": 1.0, "b": 1.5}, most=3)
    alone = msgspec.structs.replace(record.targets[0], name="elsewhere", launcher="alone")
    targets = (*record.targets, alone)
    record = raced(msgspec.structs.replace(record, targets=targets), "off")
    write_json(folder / "run.json", record)
    places = {"process": TakesTurns(), "alone": InlineLauncher()}
    ranked = run_pipeline(folder, record, None, places)
    for groups in groups_of(folder):
        assert [sorted(group) for group in groups] == [["a@anywhere", "b@anywhere"]]
    assert {r.metrics["latency_p50_ms"].trials for r in ranked.ranking.rows} == {3} and len(ranked.ranking.rows) == 4


def test_a_block_says_how_often_each_cell_takes_a_turn(suite, monkeypatch):
    """A request of 200 ms makes a turn of its own, one in ten of the rounds that others have."""
    rests: dict[str, float] = {}

    def seen(starts: list[Start], order, on_phase):
        rests.update({start.job.candidate.name: start.every for start in starts})
        assert sorted(order(3, len(starts))) == list(range(len(starts)))
        assert [order(n, 8) for n in range(9)] == [order(n, 8) for n in range(9)] != [order(0, 8)] * 9
        return taken(starts, order, on_phase)

    taken = blocks.take_turns
    monkeypatch.setattr(blocks, "take_turns", seen)
    folder, record = suite({"fast": 1.0, "slow": 200.0}, most=3, seconds=2.0, budget=10.0)
    run(folder, raced(record, "off"), TakesTurns())
    assert 1 <= rests["fast"] < 2.5 and rests["slow"] > 3
    job = read_job(trial_folder(folder, "slow@anywhere", 0))
    (window,) = read_outcome(trial_folder(folder, "slow@anywhere", 0)).windows
    assert window.rounds == round(job.scenarios[0].seconds / job.turn_s) == window.samples
