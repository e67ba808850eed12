"""A run that was cut off decides as an unbroken one: what is finished is kept, half a block is completed."""

from __future__ import annotations

import shutil

import msgspec
import pytest

from harness.analyse.reader import open_run
from harness.errors import SpecError
from harness.evidence.run import block_file, read_block, read_race, read_run, trial_folder
from harness.pipeline.request import extended
from harness.selftest.inline import InlineLauncher

from .scripted import SharedTime, Suites, VirtualTime, on_virtual_time, raced, run

CELLS = {"a": 1.0, "b": 1.05, "c": 2.0}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Run once without a break; returns the folder, the record and what was decided.

    Time is virtual: windows are sized by what blocks took, so that a busy host would make other ones.
    """
    folder, record = Suites(tmp_path_factory.mktemp("whole"))(CELLS, most=8)
    with pytest.MonkeyPatch.context() as patch:
        return folder, record, decided(run(folder, record, on_virtual_time(patch, VirtualTime())))


def decided(ranked):
    keys = ("candidate", "status", "place", "rank_low", "rank_high", "score", "p_best", "may_be_best")
    return [tuple(getattr(row, key) for key in keys) for row in ranked.ranking.rows]


class TurnsInVirtualTime(VirtualTime):
    """Its jobs go through `take_turns`, each when it is started."""

    takes_turns = True


def cut(folder, broken, kept):
    """Copy a finished run to `broken`, with the trials of `kept` (cell's name, block) only."""
    shutil.copytree(folder, broken)
    for path in [*broken.glob("ranking.*"), broken / "race.json"]:
        path.unlink()
    finished = {}
    for cell in open_run(broken).cells:
        for trial in open_run(broken).trials(cell.name):
            if kept(cell.name, trial.block):
                finished[trial.folder] = (trial.folder / "outcome.json").stat().st_mtime_ns
            else:
                shutil.rmtree(trial.folder)
    for path in sorted((broken / "blocks").iterdir()):
        number = int(path.stem) - 1
        if not all(kept(cell.name, number) for cell in open_run(broken).cells):
            path.unlink()
    return broken, finished


@pytest.mark.parametrize(
    ("kept", "launcher"),
    [
        pytest.param(lambda cell, block: block < 3, VirtualTime, id="three blocks"),
        pytest.param(
            lambda cell, block: block < 2 or (block == 2 and cell[0] == "b"), TurnsInVirtualTime, id="two and a half"
        ),
        pytest.param(lambda cell, block: cell[0] == "a", VirtualTime, id="one cell only"),
    ],
)
def test_a_resumed_run_decides_as_an_unbroken_one(whole, tmp_path, monkeypatch, kept, launcher):
    folder, record, before = whole
    broken, finished = cut(folder, tmp_path / "broken", kept)
    assert decided(run(broken, record, on_virtual_time(monkeypatch, launcher()))) == before
    assert all((path / "outcome.json").stat().st_mtime_ns == at for path, at in finished.items())
    assert read_race(broken).drops == read_race(folder).drops != ()
    assert len(list((broken / "blocks").iterdir())) == len(list((folder / "blocks").iterdir()))


def test_block_records_add_up(suite, monkeypatch):
    """The seconds of a block are those of its parts, whenever they ran."""
    clock = on_virtual_time(monkeypatch, VirtualTime(setup_s=1.0))
    folder, record = suite({"a": 1.0, "b": 2.0}, most=3)
    record = raced(record, "off")
    run(folder, record, clock)
    whole = [read_block(folder, number).wall_s for number in range(3)]
    walls = [
        sum(
            trial.outcome.wall_s
            for cell in "ab"
            for trial in open_run(folder).trials(f"{cell}@anywhere")
            if trial.block == n
        )
        for n in range(3)
    ]
    assert whole == pytest.approx(walls)
    broken, _ = cut(folder, folder.with_name("broken"), lambda cell, block: (cell, block) != ("b@anywhere", 1))
    assert not block_file(broken, 1).exists(), "it was cut off in the middle of the block"
    run(broken, record, clock)
    assert [read_block(broken, number).wall_s for number in range(3)] == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize("launcher", [VirtualTime, SharedTime])
def test_a_record_that_was_lost_or_damaged_is_made_again_from_the_trials(suite, monkeypatch, launcher):
    clock = on_virtual_time(monkeypatch, launcher(setup_s=1.0))
    folder, record = suite({"a": 1.0, "b": 2.0}, most=3)
    record = raced(record, "off")
    run(folder, record, clock)
    whole = [read_block(folder, number).wall_s for number in range(3)]
    block_file(folder, 0).unlink()
    block_file(folder, 1).write_bytes(b"{")
    before = len(clock.jobs)
    run(folder, record, clock)
    assert len(clock.jobs) == before
    assert [read_block(folder, number).wall_s for number in range(3)] == pytest.approx(whole)


def test_a_finished_run_that_is_resumed_runs_nothing(suite, monkeypatch):
    clock = on_virtual_time(monkeypatch, VirtualTime())
    folder, record = suite(CELLS, most=4)
    run(folder, record, clock)
    before, blocks = len(clock.jobs), {path: path.read_bytes() for path in (folder / "blocks").iterdir()}
    run(folder, record, clock)
    assert len(clock.jobs) == before
    assert {path: path.read_bytes() for path in (folder / "blocks").iterdir()} == blocks


def test_what_an_earlier_attempt_left_of_a_trial_is_set_aside(suite):
    folder, record = suite({"a": 1.0, "b": 2.0}, most=3)
    run(folder, record)
    half = trial_folder(folder, "a@anywhere", 1)
    (half / "outcome.json").unlink()
    (folder / "race.json").unlink()
    run(folder, record)
    assert half.with_name("trial-02.incomplete-1").is_dir() and (half / "outcome.json").exists()


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
    assert before.drops and {drop.leader for drop in before.drops} == {"fast@anywhere"}
    (folder / "race.json").unlink()
    run(folder, record, FailsLater())
    assert read_race(folder) == before


def test_a_command_that_extends_a_run_may_be_given_again(suite):
    """It may have been stopped: the budget that the run has already is not refused, a smaller one is."""
    folder, record = suite({"a": 1.0}, budget=10.0)
    longer = extended(folder, record, 20.0)
    assert read_run(folder).suite.budget.seconds == 20.0
    assert extended(folder, longer, 20.0) == longer
    with pytest.raises(SpecError, match="--budget: the run has 20 s already"):
        extended(folder, longer, 15.0)
