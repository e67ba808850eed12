"""A run keeps to its budget, on a clock that scripted cells move; what the budget cannot buy is said before."""

from __future__ import annotations

import msgspec
import pytest

from harness.analyse.reader import open_run
from harness.evidence.folder import read_job, read_outcome
from harness.evidence.run import cold_folder, read_block, read_race, trial_folder
from harness.pipeline.conclude import conclude

from .scripted import SharedTime, VirtualTime, Watching, on_virtual_time, raced, run

PLAIN = "sigma = 0.1\n"
MIXED = {"fast": 0.5, "middle": 5.0, "slow": 300.0}
MEMORY = "memory_peak_mib = { weight = 1, target = 1, limit = 100000 }\n"


def spent(folder):
    """Return the seconds of all blocks."""
    return sum(read_block(folder, n).wall_s for n in range(len(list((folder / "blocks").iterdir()))))


@pytest.mark.parametrize("launcher", [VirtualTime, SharedTime])
@pytest.mark.parametrize(("budget", "setup_s"), [(8.0, 0.2), (20.0, 2.0), (60.0, 3.0)])
def test_blocks_keep_to_the_budget_within_a_tenth(suite, monkeypatch, launcher, budget, setup_s):
    """Starting a process takes up to five times of what is assumed before the first block."""
    clock = on_virtual_time(monkeypatch, launcher(setup_s=setup_s))
    folder, record = suite(MIXED, budget=budget, most=30, seconds=1.0, common=PLAIN)
    run(folder, raced(record, "off"), clock)
    assert 0.6 * budget < spent(folder) <= 1.1 * budget
    assert len(list((folder / "blocks").iterdir())) >= 2
    assert f"the budget of {budget:g} s ended it after" in read_race(folder).ended


def test_fresh_processes_for_memory_are_in_the_budget(suite, monkeypatch):
    clock = on_virtual_time(monkeypatch, SharedTime(setup_s=3.0, fork_s=0.3))
    folder, record = suite(MIXED, budget=40.0, most=30, seconds=1.0, common=PLAIN, objectives=MEMORY)
    run(folder, raced(record, "off"), clock)
    (note,) = [note for note in read_race(folder).notes if note.code == "budget_short"]
    assert note.data["blocks"] == len(list((folder / "blocks").iterdir())) == 2, "no more were promised"
    assert cold_folder(folder, "slow@anywhere", 3).exists()
    assert spent(folder) <= 1.1 * 40.0


def test_a_tight_budget_is_said_before_it_is_spent(suite, monkeypatch):
    clock, watching = on_virtual_time(monkeypatch, VirtualTime()), Watching()
    folder, record = suite(MIXED, budget=8.0, most=30, seconds=1.0, common=PLAIN)
    ranked = run(folder, record, clock, watching)
    (said,) = [place for place, (kind, text) in enumerate(watching.heard) if kind == "say" and "the budget is" in text]
    first_block = next(place for place, (kind, _) in enumerate(watching.heard) if kind == "block")
    assert said < first_block
    (note,) = [note for note in read_race(folder).notes if note.code == "budget_short"]
    assert note.message == watching.heard[said][1]
    assert note.data["budget_s"] == 8.0 < note.data["wanted_s"]
    assert "3 cells × 5 blocks need about" in note.message and "the budget is 8 s" in note.message
    assert note.code in {each.code for each in ranked.ranking.notes}


def test_a_budget_that_is_enough_is_not_spoken_of(suite, monkeypatch):
    clock, watching = on_virtual_time(monkeypatch, VirtualTime()), Watching()
    folder, record = suite({"a": 1.0, "b": 3.0}, budget=600.0, seconds=1.0)
    run(folder, record, clock, watching)
    assert not [text for text in watching.said if "the budget is" in text]
    assert "budget_short" not in {note.code for note in read_race(folder).notes}
    assert spent(folder) < 60.0, "and not spent when the decision is made"


def test_one_cell_is_not_spoken_of_as_several(suite, monkeypatch):
    clock, watching = on_virtual_time(monkeypatch, VirtualTime()), Watching()
    folder, record = suite({"slow": 300.0}, budget=3.0, seconds=1.0, common=PLAIN)
    run(folder, record, clock, watching)
    assert [text for text in watching.said if text.startswith("1 cell × 5 blocks need about")]


def test_preparing_does_not_count(suite, monkeypatch):
    """A cell whose first process took longer than the budget is measured all the same."""
    clock = on_virtual_time(monkeypatch, VirtualTime(setup_s=30.0, fork_s=0.2))
    folder, record = suite({"a": 1.0, "b": 2.0}, budget=10.0, most=30, seconds=0.5, common=PLAIN)
    run(folder, raced(record, "off"), clock)
    blocks = len(list((folder / "blocks").iterdir()))
    assert blocks >= 5 and 6.0 < spent(folder) <= 11.0


def test_a_slow_cell_is_given_longer_windows_and_others_are_not(suite, monkeypatch):
    """p99 needs 368 requests and more in all: 20 ms each do not fit into windows of half a second."""
    clock = on_virtual_time(monkeypatch, VirtualTime())
    folder, record = suite({"fast": 1.0, "slow": 20.0}, budget=200.0, seconds=0.5, common=PLAIN)
    run(folder, record, clock)
    fast, slow = (read_job(trial_folder(folder, f"{name}@anywhere", 0)) for name in ("fast", "slow"))
    assert 0.5 <= fast.scenarios[0].seconds < slow.scenarios[0].seconds / 2
    windows = [trial.windows("interactive")[0] for trial in open_run(folder).trials("slow@anywhere")]
    assert sum(window.samples for window in windows) >= 368


def test_a_short_budget_and_the_windows_it_shortened_are_one_note(suite, monkeypatch):
    clock = on_virtual_time(monkeypatch, VirtualTime())
    folder, record = suite(MIXED, budget=8.0, most=30, seconds=1.0, common=PLAIN)
    run(folder, record, clock)
    trials = [trial for cell in open_run(folder).cells for trial in open_run(folder).trials(cell.name)]
    least = min(read_job(trial.folder).scenarios[0].seconds for trial in trials)
    assert least < 1.0
    notes = conclude(folder).ranking.notes
    (note,) = [note for note in notes if "windows" in note.message]
    assert note.code == "budget_short" and note.data["fraction"] == pytest.approx(least)
    assert note.message.endswith(f"with shorter windows ({100 * least:.0f} % of the suite's seconds at the least)")


def test_the_budget_is_spent_on_as_many_trials_as_the_suite_allows(suite, monkeypatch):
    """Windows are as long as three trials leave room for, not as five would."""
    clock, watching = on_virtual_time(monkeypatch, VirtualTime()), Watching()
    folder, record = suite(MIXED, budget=10.0, most=3, seconds=1.0, common=PLAIN)
    run(folder, raced(record, "off"), clock, watching)
    assert len(list((folder / "blocks").iterdir())) == 3
    assert 8.0 < spent(folder) <= 11.0
    assert [text for text in watching.said if "3 cells × 3 blocks need about" in text]


def test_the_tails_of_finalists_take_a_part_of_what_is_left(suite, monkeypatch):
    clock = on_virtual_time(monkeypatch, VirtualTime())
    folder, record = suite({"fast": 10.0, "slow": 40.0}, budget=40.0, most=12, seconds=1.0)
    run(folder, record, clock)
    assert "the decision was made" in read_race(folder).ended
    assert spent(folder) <= 1.1 * 40.0
    assert "tails_unmeasured" in {note.code for note in read_race(folder).notes}


def test_controls_have_a_part_of_the_budget_of_their_own(suite, monkeypatch):
    clock = on_virtual_time(monkeypatch, VirtualTime())
    folder, record = suite({"a": 1.0, "b": 1.3}, budget=30.0, most=30, seconds=1.0, common=PLAIN)
    record = msgspec.structs.replace(raced(record, "off"), controls=True)
    run(folder, record, clock)
    assert spent(folder) <= 1.1 * 0.88 * 30.0
    in_all = sum(read_outcome(path.parent).wall_s for path in folder.glob("controls/*/*/outcome.json"))
    assert 0 < in_all <= 1.2 * 0.12 * 30.0
