"""The rule of disturbed slices in literal numbers, and what holds for any slices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness.stats.disturbed import disturbed

MS = 1_000_000
QUIET = {"begin": 0, "end": 50 * MS, "cpu": 49 * MS, "delay": 0, "steal": 0, "kernel": 60_000}


def judged(*changes):
    """Judge slices that are quiet but for these changes, with nine quiet ones behind them."""
    rows = [[*(QUIET | change).values()] for change in (*changes, *[{}] * 9)]
    found = disturbed(np.array(rows, dtype=np.int64))
    assert not found[len(changes) :].any()
    return found[: len(changes)].tolist()


def test_a_kernel_that_takes_three_tenths_longer_than_usual_disturbs():
    assert judged({"kernel": 78_000}, {"kernel": 78_001}, {"kernel": 30_000}) == [False, True, False]


def test_the_usual_speed_is_that_of_the_fastest_quarter():
    """A host that is slow for two thirds of the time: the slow slices are the disturbed ones."""
    rows = np.array([[*(QUIET | {"kernel": 60_000 if i % 3 == 0 else 120_000}).values()] for i in range(30)])
    assert disturbed(rows).tolist() == [i % 3 != 0 for i in range(30)]


@pytest.mark.parametrize(
    ("cpu_ms", "delay_ms", "found"),
    [(47.5, 2.5, False), (47.4, 2.6, True), (9.0, 0.9, False), (9.0, 1.0, True), (0.0, 1.0, True)],
)
def test_waiting_to_be_run_for_a_twentieth_of_the_time_and_a_ms_disturbs(cpu_ms, delay_ms, found):
    assert judged({"cpu": int(cpu_ms * MS), "delay": int(delay_ms * MS)}) == [found]


@pytest.mark.parametrize(
    ("end_ms", "steal_ms", "found"),
    [(50, 10, False), (50, 12.5, False), (50, 20, True), (400, 30, False), (400, 40, True)],
)
def test_one_tick_of_steal_does_not_disturb(end_ms, steal_ms, found):
    """A twentieth of the slice, less a tick of 10 ms: 12.5 ms of 50 ms, 30 ms of 400 ms."""
    assert judged({"end": end_ms * MS, "steal": int(steal_ms * MS)}) == [found]


def test_what_is_unknown_does_not_disturb():
    unknown = dict.fromkeys(("cpu", "delay", "steal", "kernel"), -1)
    assert judged(unknown, unknown | {"delay": 40 * MS}, unknown | {"kernel": 80_000}) == [False, False, True]
    assert disturbed(np.array([[*(QUIET | unknown).values()]] * 3)).tolist() == [False] * 3
    assert disturbed(np.zeros((0, 6), dtype=np.int64)).shape == (0,)


SLICES = arrays.arrays(np.int64, st.tuples(st.integers(0, 20), st.just(6)), elements=st.integers(-1, 10**9))


@given(SLICES)
def test_it_gives_one_answer_per_slice_in_any_order(slices):
    found = disturbed(slices)
    assert (found.shape, found.dtype) == ((len(slices),), np.bool_)
    assert disturbed(slices[::-1]).tolist() == found[::-1].tolist()


@given(SLICES, st.sampled_from([2, 3, 4, 5]))
def test_forgetting_a_counter_never_disturbs_more(slices, column):
    """Except the kernel's usual speed, which others' slices make; it is forgotten in all of them."""
    less = slices.copy()
    less[:, column] = -1
    assert not (disturbed(less) & ~disturbed(slices)).any()
