"""Estimates over trials: literal t intervals and coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.across import over_trials

POSITIVE = st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=20)


def test_three_trials_by_hand():
    made = over_trials([1.0, 2.0, 4.0])
    half = 4.302652729911275 * math.log(2) / math.sqrt(3)  # t(0.975, 2), sd of logs is log 2
    assert made.value == pytest.approx(2.0)
    assert (made.low, made.high) == pytest.approx((2 * math.exp(-half), 2 * math.exp(half)))
    assert (made.n, made.trials, made.basis) == (3, 3, "between")


def test_plain_t_for_differences_and_zeros():
    for made in (over_trials([1.0, 2.0, 3.0], log=False), over_trials([0.0, 1.0, 2.0])):
        assert made.high - made.value == pytest.approx(4.302652729911275 / math.sqrt(3))


def test_one_trial_is_unbounded():
    assert over_trials([3.0])[:3] == (3.0, 0.0, math.inf)
    assert over_trials([-3.0])[:3] == (-3.0, -math.inf, math.inf)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_missing_values_are_refused(values):
    with pytest.raises(ValueError, match="finite value per trial"):
        over_trials(values)


@given(POSITIVE, st.floats(0.01, 100))
def test_a_change_of_unit_scales_the_interval(values, factor):
    one, other = over_trials(values), over_trials([value * factor for value in values])
    assert [end * factor for end in one[:3]] == pytest.approx(list(other[:3]), rel=1e-6)


@given(POSITIVE, st.randoms())
def test_trials_have_no_order(values, random):
    shuffled = list(values)
    random.shuffle(shuffled)
    assert over_trials(values)[:3] == pytest.approx(over_trials(shuffled)[:3], rel=1e-9)


def test_t_covers_five_lognormal_trials():
    rng = np.random.default_rng(3)
    few = rng.lognormal(0.0, 0.05, size=(1000, 5))
    hits = sum(made.low <= 1.0 <= made.high for made in map(over_trials, few))
    assert 930 <= hits <= 970
