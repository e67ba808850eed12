"""Power of paired comparisons, the variance split, and certification: literal numbers and error rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.stats.certify import certify, certify_in_order, planned_looks, samples_to_certify
from harness.stats.paired import (
    blocks_needed,
    detection_power,
    log_ratios,
    minimum_detectable,
    samples_per_trial,
    split,
)

NAN = math.nan


def test_log_ratios_leave_out_what_is_missing_or_not_positive():
    made = log_ratios(np.array([math.e, NAN, 1.0, 0.0]), np.array([1.0, 2.0, NAN, 3.0]))
    assert made[0] == pytest.approx(1.0) and np.isnan(made[1:]).all()


def test_power_matches_a_published_case_and_inverts():
    assert detection_power(0.5, 1.0, 34) == pytest.approx(0.808, abs=1e-3)  # Cohen's d 0.5, G*Power
    assert blocks_needed(0.5, 1.0, power=0.8) == 34
    assert blocks_needed(0.05, 0.02 * math.sqrt(2)) == 6  # +5 % at 2 % process spread
    assert minimum_detectable(10, 0.02 * math.sqrt(2)) == pytest.approx(0.0327, abs=2e-4)
    assert blocks_needed(0.0, 1.0) is None and blocks_needed(1.0, 0.0) == 2
    assert blocks_needed(0.03, 1.0) is None, "11,677 would be needed: more than is promised"
    assert minimum_detectable(1, 0.1) == math.inf and minimum_detectable(5, 0.0) == 0.0


@given(st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_blocks_needed_is_the_fewest(effect, sd):
    n = blocks_needed(effect, sd)
    if n is not None:
        assert detection_power(effect, sd, n) >= 0.9 > detection_power(effect, sd, n - 1)
        assert minimum_detectable(n, sd) <= effect * (1 + 1e-6)


@pytest.mark.parametrize(("over", "n"), [(0, 459), (1, 662), (5, 1307), (10, 2010)])
def test_samples_to_certify_p99(over, n):
    assert samples_to_certify(0.99, over, 0.01) == n


def test_certificates_are_given_at_planned_looks_only():
    assert planned_looks(4) == (662, 993, 1490, 2235)
    assert certify(661, 0) == "undecided" and certify(662, 0) == "undecided"  # 0.0013 > 0.01 / 8
    assert certify(662, 0, looks=4) == "holds" and certify(662, 6) == "undecided"
    assert certify(662, 40) == "broken" and certify(993, 0) == "holds" and certify(994, 0) == "undecided"
    certificates = [certify(662, over) for over in range(30)]
    tails = [stats.binom.sf(over - 1, 662, 0.01) <= 0.01 / 8 for over in range(30)]
    assert [each == "broken" for each in certificates] == tails and any(tails)
    with pytest.raises(ValueError, match="between 0 and 5"):
        certify(5, 6)
    with pytest.raises(ValueError, match="negative"):
        samples_to_certify(over=-1)


@given(st.integers(0, 100), st.integers(0, 100), st.sampled_from(planned_looks()))
def test_more_over_the_bound_never_helps(first, second, n):
    order = ("broken", "undecided", "holds")
    few, many = sorted((first, second))
    assert order.index(certify(n, few)) >= order.index(certify(n, many))


def certificates(rate, seed):
    rng = np.random.default_rng(seed)
    looks = planned_looks()
    counts = np.cumsum(rng.binomial(np.diff(looks, prepend=0), rate, size=(2000, len(looks))), axis=1)
    table = {(n, over): certify(n, over) for n, col in zip(looks, counts.T, strict=True) for over in set(col)}
    rows = [[table[n, over] for n, over in zip(looks, row, strict=True)] for row in counts]
    return [next((each for each in row if each != "undecided"), "undecided") for row in rows]


def test_a_system_at_its_limit_passes_or_fails_in_at_most_one_percent():
    at_limit = certificates(0.01, seed=5)
    assert at_limit.count("holds") <= 20 and at_limit.count("broken") <= 20
    assert at_limit.count("holds") + at_limit.count("broken") >= 1


def test_systems_off_their_limit_are_found():
    assert certificates(0.002, seed=6).count("holds") >= 1990
    assert certificates(0.03, seed=7).count("broken") >= 1990


def test_samples_in_order_stop_at_the_first_certificate():
    good = np.full(3000, 1.0)
    assert certify_in_order(good, bound=1.0) == "holds"
    assert certify_in_order(good[:992], bound=1.0) == "undecided"
    assert certify_in_order(np.r_[np.full(100, 2.0), good], bound=1.0) == "broken"


def test_split_recovers_what_was_put_in():
    rng = np.random.default_rng(8)
    trials = [rng.normal(mean, 2.0, 50) for mean in rng.normal(10.0, 1.0, 400)]
    made = split(trials)
    assert made.within == pytest.approx(4.0, rel=0.03) and made.between == pytest.approx(1.0, rel=0.15)


def test_split_by_hand_and_the_optimum():
    made = split([np.array([1.0, 3.0]), np.array([5.0, 7.0])])
    assert (made.within, made.between) == (2.0, 7.0)  # means 2 and 6: variance 8, less 2 / 2
    assert samples_per_trial(made, cost_per_trial=14.0, cost_per_sample=1.0) == 2
    assert samples_per_trial(made._replace(between=0.0), 1.0, 1.0) == 1_000_000
    with pytest.raises(ValueError, match="two trials"):
        split([np.array([1.0, 2.0])])
    with pytest.raises(ValueError, match="positive"):
        samples_per_trial(made, 0.0, 1.0)


@given(st.floats(0.01, 10), st.floats(0.01, 10), st.floats(0.1, 100))
def test_no_other_count_is_better_for_its_cost(within, between, per_trial):
    made = split([np.array([0.0, 1.0]), np.array([0.0, 1.0])])._replace(within=within, between=between)

    def badness(samples):
        return (between + within / samples) * (per_trial + samples)  # variance of the mean, times cost

    best = samples_per_trial(made, per_trial, 1.0)
    around = [samples for samples in range(max(1, best - 4), best + 5)]
    assert min(badness(best), badness(max(1, best - 1))) <= min(map(badness, around)) * (1 + 1e-9)
