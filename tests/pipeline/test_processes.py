"""A whole run in real processes: cold ones and forks, rounds, controls, budget, and a failure between them."""

from __future__ import annotations

import json
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from harness.analyse.reader import open_run
from harness.evidence.folder import PREDICTIONS, read_job, read_requests
from harness.evidence.run import read_block, read_prepared, read_race
from harness.launch.process import ProcessLauncher

from .scripted import Suites, Watching, raced, row, run

REAL = 'latency_ms = {}\nclock = "real"\n'
OBJECTIVES = "latency_p50_ms = { weight = 1, target = 0.01, limit = 100 }\n"
MEMORY = "memory_peak_mib = { weight = 1, target = 1, limit = 100000 }\n"
BUDGET = 5.0


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory):
    """Run two good cells on the real clock, and one that crashes at its 151st inference, in 5 s.

    Its first process makes about a hundred; a window of 0.2 s, the shortest, has two hundred.
    """
    cells = {
        "a": REAL.format(2.0),
        "b": REAL.format(4.0),
        "bad": 'latency_ms = 1.0\nfail_at = "measure"\nfail_how = "segfault"\n',
    }
    settings = {"budget": BUDGET, "seconds": 2.0, "most": 30, "common": "", "objectives": OBJECTIVES + MEMORY}
    folder, record = Suites(tmp_path_factory.mktemp("real"))(cells, **settings)
    watching = Watching()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_LOCK", str(folder.with_name("lock")))
        return run(folder, raced(record, "off"), ProcessLauncher(), watching), watching


def test_good_cells_are_ranked_and_the_bad_one_is_named(done):
    ranked, _ = done
    assert [r.candidate for r in ranked.ranking.rows] == ["a", "b", "bad"]
    assert {r.status for r in ranked.ranking.rows[:2]} <= {"measured", "undecided"}, "five seconds are not much"
    bad = row(ranked, "bad")
    assert (bad.status, bad.failure, bad.metrics) == ("failed", "crash", {})
    assert [trial.outcome.status for trial in open_run(ranked.folder).trials("bad@anywhere")] == ["failed"]


def test_cold_trials_are_fresh_and_trials_are_forks(done):
    ranked, _ = done
    for cell in ("a@anywhere", "b@anywhere"):
        reader = open_run(ranked.folder)
        assert all(trial.outcome.fresh for trial in reader.cold(cell))
        assert not any(trial.outcome.fresh for trial in reader.trials(cell))
        assert len(reader.cold(cell)) == 1 + len(reader.trials(cell)), "one before all blocks, one in each"
        assert [PREDICTIONS in trial.outcome.files for trial in reader.cold(cell)][:2] == [True, False]
    assert read_prepared(ranked.folder).cells["a@anywhere"].forkable


def test_memory_and_load_come_from_fresh_processes_only(done):
    ranked, _ = done
    reader = open_run(ranked.folder)
    cold = reader.cold("a@anywhere")
    found = row(ranked, "a").metrics
    assert found["memory_peak_mib"].trials == found["load_ms"].trials == len(cold)
    told = [(t.outcome.memory.peak_bytes - t.outcome.memory.inputs_bytes) / (1 << 20) for t in cold]
    assert min(told) <= found["memory_peak_mib"].value <= max(told)


def test_forks_of_a_block_take_turns_and_their_records_fit(done):
    ranked, _ = done
    reader = open_run(ranked.folder)
    for number in range(len(reader.trials("a@anywhere"))):
        record = read_block(ranked.folder, number)
        bad = {"bad@anywhere"} if number == 0 else set()
        assert [set(group) for group in record.groups] == [{"a@anywhere", "b@anywhere"} | bad]
        turns = []
        for cell in ("a@anywhere", "b@anywhere"):
            trial = next(trial for trial in reader.trials(cell) if trial.block == number)
            start, latency, turn = (
                read_requests(trial.folder, "interactive", each) for each in ("start", "latency", "round")
            )
            turns += [(start[turn == each].min(), (start + latency)[turn == each].max()) for each in np.unique(turn)]
            (window,) = trial.outcome.windows
            assert window.rounds == turn[-1] + 1 and window.uncounted == window.rounds
            assert read_job(trial.folder).fresh is False and trial.outcome.wall_s <= record.wall_s
        assert all(earlier[1] <= later[0] for earlier, later in pairwise(sorted(turns)))


def test_both_cells_see_the_same_moments(done):
    """Their windows begin and end together, within a turn or two; 16 of 4 ms rest in every second round."""
    ranked, _ = done
    reader = open_run(ranked.folder)
    for one, other in zip(reader.trials("a@anywhere"), reader.trials("b@anywhere"), strict=True):
        spans = []
        for trial in (one, other):
            start = read_requests(trial.folder, "interactive", "start")
            spans.append((start[0], start[-1]))
        both = min(end for _, end in spans) - max(begin for begin, _ in spans)
        assert both > 0.5 * max(end - begin for begin, end in spans)
        often, seldom = (trial.outcome.windows[0].rounds for trial in (one, other))
        assert 0.7 * often <= 2 * seldom <= 1.5 * often + 2


def test_blocks_keep_to_the_budget_and_it_is_said(done):
    ranked, watching = done
    spent = sum(read_block(ranked.folder, n).wall_s for n in range(len(list((ranked.folder / "blocks").iterdir()))))
    assert spent <= 1.1 * BUDGET
    assert "the budget of 5 s ended it after" in read_race(ranked.folder).ended
    heard = [kind for kind, what in watching.heard if kind == "block" or "the budget is" in str(what)]
    assert heard[0] == "say" and heard[1:] and set(heard[1:]) == {"block"}


def test_it_can_be_ranked_again_from_its_folder(done):
    ranked, _ = done
    found = json.loads((ranked.folder / "ranking.json").read_text())
    assert [each["candidate"] for each in found["rows"]] == [each.candidate for each in ranked.ranking.rows]


def test_controls_and_a_resume_in_real_processes(suite):
    cells = {"a": "latency_ms = 1.0\n", "b": "latency_ms = 3.0\n"}
    folder, record = suite(cells, seconds=0.1, most=3, common="sigma = 0.02\n")
    record = msgspec.structs.replace(record, controls=True)
    before = run(folder, record, ProcessLauncher())
    assert len([note for note in before.ranking.notes if note.code.startswith("control_")]) == 2
    outcomes = {path: path.stat().st_mtime_ns for path in folder.glob("c*/*/*/outcome.json")}
    again = run(folder, record, ProcessLauncher())
    assert {path: path.stat().st_mtime_ns for path in folder.glob("c*/*/*/outcome.json")} == outcomes
    assert again.ranking == before.ranking
