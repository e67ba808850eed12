"""The controls of a run: the leader, a twin of it, and the same with more work, in blocks of their own."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest

from harness.analyse.controls import KINDS, control_folder
from harness.evidence.folder import read_job, read_outcome, read_requests
from harness.launch.process import ProcessLauncher
from harness.pipeline import controls
from harness.pipeline.controls import BLOCKS, MORE_WORK
from harness.pipeline.prepare import prepare
from harness.pipeline.progress import Silent
from harness.selftest.inline import InlineLauncher

from .scripted import TakesTurns, VirtualTime, Watching, on_virtual_time, raced, run

PLAIN = "sigma = 0.05\n"


class MoreWork(InlineLauncher):
    """Does a control with more work as a slower script: the clocks of scripts do not see real work."""

    def start(self, folder, job, terms):
        if getattr(job, "slower", 0.0):
            path = terms.root / "slower.fake.toml"
            path.write_text(f"latency_ms = {1.0 + job.slower}\nseed = 0\n{PLAIN}")
            job = msgspec.structs.replace(job, variant=msgspec.structs.replace(job.variant, path=path.name))
        return super().start(folder, job, terms)


class MoreWorkInTurns(MoreWork, TakesTurns):
    pass


def controlled(suite, cells=None, **settings):
    folder, record = suite(cells or {"a": 1.0, "b": 3.0}, most=4, common=PLAIN, **settings)
    return folder, msgspec.structs.replace(record, controls=True)


def codes(ranked):
    return [note.code for note in ranked.ranking.notes if note.code.startswith("control_")]


@pytest.mark.parametrize("launcher", [MoreWork, MoreWorkInTurns])
def test_the_leader_is_measured_thrice_and_judged(suite, launcher):
    watching = Watching()
    ranked = run(*controlled(suite), launcher(), watching)
    assert codes(ranked) == ["control_passed", "control_passed"]
    assert "controls: a@anywhere against itself, and with 5 % more work" in watching.said
    for block in range(BLOCKS):
        jobs = {name: read_job(control_folder(ranked.folder, name, block)) for name in KINDS}
        assert {job.candidate.name for job in jobs.values()} == {"a"}
        assert [job.slower for job in jobs.values()] == [0.0, 0.0, MORE_WORK]
        assert len({(job.block, job.sequence, job.turn_s, job.scenarios) for job in jobs.values()}) == 1
        assert not any(job.predict for job in jobs.values())
    assert not control_folder(ranked.folder, "same", BLOCKS).exists()


def test_on_a_gpu_that_takes_one_process_they_run_one_after_another(suite, monkeypatch):
    """Three processes side by side would need more than there is."""
    monkeypatch.setattr("harness.pipeline.cold.share_of_device", lambda outcome: 1.0)
    monkeypatch.setattr(controls, "take_turns", lambda *_: pytest.fail("they may not live side by side"))
    assert codes(run(*controlled(suite), MoreWorkInTurns())) == ["control_passed", "control_passed"]


def test_they_are_no_rows_and_no_evidence_of_the_leader(suite):
    ranked = run(*controlled(suite), MoreWork())
    assert [row.candidate for row in ranked.ranking.rows] == ["a", "b"]
    trials = len(list((ranked.folder / "cells" / "a@anywhere").glob("trial-*")))
    assert ranked.ranking.rows[0].metrics["latency_p50_ms"].trials == trials


def test_work_that_the_clock_does_not_see_is_a_miss(suite):
    assert codes(run(*controlled(suite))) == ["control_passed", "control_missed"]


def test_a_run_that_did_not_ask_for_them_has_none(suite):
    folder, record = suite({"a": 1.0, "b": 3.0}, most=4)
    ranked = run(folder, record, MoreWork())
    assert codes(ranked) == [] and not (folder / "controls").exists()


def test_without_a_leader_there_are_none(suite):
    bad = 'latency_ms = 1.0\nfail_at = "load"\nfail_how = "raise"\n'
    ranked = run(*controlled(suite, {"a": bad, "b": bad}), MoreWork())
    assert codes(ranked) == [] and not (ranked.folder / "controls").exists()


def test_a_resumed_run_completes_them(suite):
    folder, record = controlled(suite)
    run(folder, record, MoreWork())
    kept = control_folder(folder, "twin", 0) / "outcome.json"
    lost = control_folder(folder, "twin", 2) / "outcome.json"
    before = kept.stat().st_mtime_ns
    lost.unlink()
    run(folder, record, MoreWork())
    assert kept.stat().st_mtime_ns == before and lost.exists()
    assert lost.parent.with_name("trial-03.incomplete-1").exists()


def test_they_end_when_their_part_of_the_budget_is_spent(suite, monkeypatch):
    """A block of three processes takes nearly 4 s; an eighth of the budget, 9.6 s, has room for two."""
    clock = on_virtual_time(monkeypatch, VirtualTime(setup_s=1.0))
    folder, record = controlled(suite, budget=80.0, seconds=0.2)
    ranked = run(folder, raced(record, "off"), clock)
    assert len(list((folder / "controls" / "same").iterdir())) == 2
    assert codes(ranked) == ["control_unknown"]


def test_they_take_turns_as_real_processes(suite, monkeypatch):
    """A tenth of a second of 2 ms: enough to see what is done, not what the host lets be seen."""
    monkeypatch.setattr(controls, "BLOCKS", 1)
    folder, record = suite({"a": 'latency_ms = 2.0\nclock = "real"\n'}, seconds=0.1, common="")
    launchers = {"process": ProcessLauncher()}
    prepared = prepare(folder, record, Silent(), launchers)
    controls.Controls(folder, record, prepared, Silent(), launchers).run("a@anywhere")
    turns = []
    for name in KINDS:
        where = control_folder(folder, name, 0)
        outcome = read_outcome(where)
        assert outcome.status == "ok" and not outcome.fresh
        start, latency, number = (read_requests(where, "interactive", each) for each in ("start", "latency", "round"))
        assert (latency >= (2e6 if name != "slower" else 2e6 * (1 + MORE_WORK))).all()
        first, last = (np.searchsorted(number, np.unique(number), side) for side in ("left", "right"))
        turns += list(zip(start[first], start[last - 1] + latency[last - 1], strict=True))
    turns.sort()
    assert len(turns) >= 3 and all(end <= begin for (_, end), (begin, _) in itertools.pairwise(turns))
