"""Estimates over trials: literal t intervals, the wider of two spreads, and coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.across import combine, over_trials, within_trials
from harness.stats.quantiles import Quantile

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


def test_combine_takes_the_wider_and_names_it():
    apart = [Quantile(v, v * 0.999, v * 1.001) for v in (1.0, 1.2, 1.4)]
    close = [Quantile(v, v / 2, v * 2) for v in (1.0, 1.0001, 1.0002, 1.0)]
    between, within = combine(apart, n=300), combine(close, n=400)
    assert between.basis == "between" and between == over_trials([1.0, 1.2, 1.4], n=300)
    assert within.basis == "within" and (within.n, within.trials) == (400, 4)
    assert within.high / within.value == pytest.approx(2 ** (math.sqrt(4) / 4))  # log 2 in quadrature / k


def test_unbounded_stays_unbounded():
    per_trial = [Quantile(5.0, 4.9, 5.1), Quantile(5.0, 4.9, math.inf), Quantile(5.1, 5.0, 5.2)]
    made = combine(per_trial, n=900)
    assert math.isinf(made.high) and math.isfinite(made.low) and made.basis == "within"
    assert made.low <= over_trials([5.0, 5.0, 5.1]).low


def test_one_trial_is_unbounded_over_trials_but_not_within():
    alone = [Quantile(5.0, 4.9, 5.2)]
    assert combine(alone, n=100)[1:3] == (0.0, math.inf)
    assert within_trials(alone, n=100)[:3] == pytest.approx((5.0, 4.9, 5.2))


def test_unbounded_low_ends_and_values_below_zero():
    assert within_trials([Quantile(2.0, -math.inf, 3.0)], n=5).low == 0.0
    assert within_trials([Quantile(-2.0, -3.0, 1.0)], n=5)[:3] == pytest.approx((-2.0, -3.0, 1.0))


@given(POSITIVE, st.floats(0.01, 100))
def test_a_change_of_unit_scales_the_interval(values, factor):
    one, other = over_trials(values), over_trials([value * factor for value in values])
    assert [end * factor for end in one[:3]] == pytest.approx(list(other[:3]), rel=1e-6)


@given(POSITIVE, st.randoms())
def test_trials_have_no_order(values, random):
    shuffled = list(values)
    random.shuffle(shuffled)
    assert over_trials(values)[:3] == pytest.approx(over_trials(shuffled)[:3], rel=1e-9)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=8), st.floats(0, 1), st.floats(0, 1))
def test_combine_is_never_narrower_than_either(values, down, up):
    per_trial = [Quantile(value, value / (1 + down), value * (1 + up)) for value in values]
    made, between, within = combine(per_trial, 9), over_trials(values), within_trials(per_trial, 9)
    assert made.low <= min(between.low, within.low) and made.high >= max(between.high, within.high)


def test_t_covers_five_lognormal_trials():
    rng = np.random.default_rng(3)
    few = rng.lognormal(0.0, 0.05, size=(1000, 5))
    hits = sum(made.low <= 1.0 <= made.high for made in map(over_trials, few))
    assert 930 <= hits <= 970
