"""Trials in which the GPU was disturbed are measured once more, within a part of the budget, and kept aside."""

from __future__ import annotations

from harness.analyse import device_remarks
from harness.analyse.reader import open_run
from harness.evidence.run import read_block, read_run
from harness.pipeline import measure

from .scripted import TakesTurns, VirtualTime, Watching, on_virtual_time, run

CELLS = {"a": 2.0, "b": 2.02, "c": 2.01}


def always(trial):
    return ("gpu_shared",) if "a@" in str(trial.folder) else ()


def at_first(trial):
    return always(trial) if trial.block == 1 and not device_remarks.was_repeated(trial) else ()


def ran(suite, monkeypatch, disturbed, **settings):
    """Run the cells; `disturbed` stands in for what NVML would tell."""
    monkeypatch.setattr(measure, "disturbed", disturbed)
    observer = Watching()
    ranked = run(*suite(CELLS, trials=3, most=3, **settings), observer=observer)
    folder = ranked.folder / "cells" / "a@anywhere"
    aside = sorted(each.name for each in folder.iterdir() if ".repeated-" in each.name)
    return ranked, aside, [text for text in observer.said if "measured again" in text]


def test_a_disturbed_trial_is_measured_again_and_kept_aside(suite, monkeypatch):
    ranked, aside, said = ran(suite, monkeypatch, at_first)
    assert aside == ["trial-02.repeated-1"]
    assert said == ["a@anywhere: measured again, because of gpu_shared"]
    trials = open_run(ranked.folder).trials("a@anywhere")
    assert [trial.block for trial in trials] == [0, 1, 2]
    assert [device_remarks.was_repeated(trial) for trial in trials] == [False, True, False]


def test_where_it_does_not_help_it_is_done_only_once_for_a_cell(suite, monkeypatch):
    _, aside, _ = ran(suite, monkeypatch, always)
    assert aside == ["trial-01.repeated-1"]


def test_a_short_budget_repeats_nothing(suite, monkeypatch):
    time = on_virtual_time(monkeypatch, VirtualTime(setup_s=5.0))
    monkeypatch.setattr(measure, "disturbed", always)
    ranked = run(*suite(CELLS, trials=3, most=3, budget=40), launcher=time)
    assert not list((ranked.folder / "cells" / "a@anywhere").glob("*.repeated-*"))


def test_a_resumed_run_repeats_nothing_that_was_there(suite, monkeypatch):
    ranked, aside, _ = ran(suite, monkeypatch, lambda trial: ())
    assert aside == []
    monkeypatch.setattr(measure, "disturbed", always)
    again = run(ranked.folder, read_run(ranked.folder))
    assert not list((again.folder / "cells" / "a@anywhere").glob("*.repeated-*"))


def test_the_record_of_a_block_keeps_who_took_turns_before(suite, monkeypatch):
    monkeypatch.setattr(measure, "disturbed", at_first)
    ranked = run(*suite(CELLS, trials=3, most=3), launcher=TakesTurns())
    groups = read_block(ranked.folder, 1).groups
    assert sorted(groups[0]) == ["a@anywhere", "b@anywhere", "c@anywhere"] and groups[1:] == (("a@anywhere",),)
