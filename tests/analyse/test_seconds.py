"""Where the seconds of a run went, and what a request took with all that goes with it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analyse.reader import open_run
from harness.analyse.seconds import PURPOSES, block_purposes, own_seconds, seconds_by_purpose
from harness.spec.outcome import Launched, Outcome
from harness.spec.policy import Policy

from .handwritten import block, cold, run_folder, trial

S = 1_000_000_000


def launched(wall_s):
    return Launched(launcher="process", wall_ns=int(wall_s * S))


def fork(wall_s=3.0, **spent_s):
    spent = {purpose: int(seconds * S) for purpose, seconds in spent_s.items()}
    return {"fresh": False, "spent": spent, "duration_ns": int((wall_s - 0.01) * S), "launched": launched(wall_s)}


def test_the_seconds_of_a_run_are_preparation_and_its_blocks(tmp_path):
    """Two cells share a block of 5 s; each waits while the other has its turns."""
    run = run_folder(tmp_path, "a", "b")
    cold(run, "a", 1, spent={"load": 9 * S}, duration_ns=9 * S)  # in preparation, which took 2 s
    for name in ("a", "b"):
        spent = {"load": 0.3, "first": 0.1, "warm_up": 0.2, "sampling": 1.2, "uncounted": 0.05, "waiting": 1.5}
        trial(run, name, 0, {"interactive": [1.0] * 20}, **fork(**spent, **{"import": 0.02}, predict=0.1, other=0.04))
    block(run, 0, 5.0)
    found = seconds_by_purpose(open_run(run))
    assert tuple(found) == PURPOSES
    expected = {"prepare": 2.0, "start": 0.06, "load": 0.8, "warm_up": 0.4, "sampling": 2.4, "uncounted": 0.1}
    assert found == pytest.approx(
        expected | {"cold_starts": 0.0, "other": 0.28, "exit": 0.0, "parent": 5.0 - 4.04}, abs=1e-6
    )


def test_what_is_done_side_by_side_is_scaled_to_the_time_there_was():
    """Four processes load for 1 s each on several cores; of 5 s, 3 were turns: all loading took at most 2 s."""
    each = {"start": 0.25, "load": 0.75, "sampling": 0.75}
    found = block_purposes([each] * 4, 5.0)
    assert found == pytest.approx({"start": 0.5, "load": 1.5, "sampling": 3.0, "parent": 0.0})


def test_what_is_left_of_a_block_is_the_parents():
    assert block_purposes([{"load": 1.0, "sampling": 2.0}], 5.0) == {"load": 1.0, "sampling": 2.0, "parent": 2.0}
    assert block_purposes([], 5.0) == {"parent": 5.0}


PARTS = st.dictionaries(st.sampled_from(PURPOSES[1:-1]), st.floats(0, 10))


@given(st.lists(PARTS, max_size=5), st.floats(0, 100))
def test_the_purposes_of_a_block_add_up_to_it_unless_turns_alone_take_longer(processes, wall_s):
    found = block_purposes(processes, wall_s)
    turns = sum(v for each in processes for k, v in each.items() if k not in ("start", "load", "exit"))
    assert sum(found.values()) == pytest.approx(max(wall_s, turns), abs=1e-6)
    assert min(found.values()) >= 0


def test_waiting_is_nobodys_and_what_a_child_cannot_see_is_its_start_or_its_exit():
    outcome = Outcome(status="ok", spent={"waiting": 5 * S, "sampling": S}, duration_ns=6 * S, launched=launched(6.5))
    assert own_seconds(outcome) == {"sampling": 1.0, "start": 0.5, "exit": 0.0}
    forked = Outcome(status="ok", fresh=False, duration_ns=6 * S, launched=launched(6.5))
    assert own_seconds(forked) == {"start": 0.5, "exit": 0.0}, "when it began is not known"
    begun = msgspec.structs.replace(launched(6.5), begin_ns=10 * S)
    ended = Outcome(status="ok", fresh=False, begin_ns=int(10.3 * S), duration_ns=6 * S, launched=begun)
    assert own_seconds(ended) == pytest.approx({"start": 0.3, "exit": 0.2}), "its template was not ready before"


def test_without_a_record_a_block_took_what_its_trials_took(tmp_path):
    run = run_folder(tmp_path, "a", "b")
    for name in ("a", "b"):
        trial(run, name, 0, {"interactive": [1.0] * 20}, **fork(3.0, sampling=2.0))
    found = seconds_by_purpose(open_run(run))
    assert (found["sampling"], found["parent"]) == pytest.approx((4.0, 6.0 - 4.0 - 0.02))


def test_later_cold_trials_belong_to_the_block_they_ran_in(tmp_path):
    run = run_folder(tmp_path, "a")
    trial(run, "a", 0, {"interactive": [1.0] * 20}, **fork(3.0, sampling=2.0))
    cold(run, "a", 2, spent={"load": S}, duration_ns=S, launched=launched(1.25))
    block(run, 0, 6.0)
    found = seconds_by_purpose(open_run(run))
    assert (found["load"], found["start"], found["parent"]) == pytest.approx((1.0, 0.26, 6.0 - 2.0 - 0.01 - 1.25))


def test_a_request_takes_its_share_of_all_that_its_trial_did_but_wait(tmp_path):
    run = run_folder(tmp_path, "a", "b")
    trial(run, "a", 0, {"interactive": [1.0] * 300, "offline.b8": [5.0] * 20}, **fork(3.0, waiting=1.5))
    trial(run, "a", 1, {"interactive": [1.0] * 700, "offline.b8": [5.0] * 20}, **fork(3.0, waiting=1.5))
    a, b = open_run(run).entries(Policy())
    assert a.request_s == pytest.approx(3.0 / 1000)
    assert b.request_s is None
