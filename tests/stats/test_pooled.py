"""Pooled percentiles: literal numbers, clusters, coverage where the truth is known, and what blocks share."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from harness.stats import pooled
from harness.stats.pooled import effective_n, half_width, pooled_quantile, pooled_quantiles
from harness.stats.quantiles import quantile

TRIALS = st.lists(st.lists(st.integers(1, 10**6), min_size=1, max_size=40), min_size=1, max_size=8)


def sleepers(rng, trials, requests, spread, sigma=0.5):
    logs = spread * rng.standard_normal((trials, 1)) + sigma * rng.standard_normal((trials, requests))
    return list(np.exp(logs))


def counted(trials, requests, spread, p, runs=400):
    """Give the share of intervals that cover the truth, and that of those with two ends."""
    exact = math.exp(math.hypot(0.5, spread) * float(special.ndtri(p)))
    made = [pooled_quantile(sleepers(np.random.default_rng(s), trials, requests, spread), p) for s in range(runs)]
    return (
        np.mean([each.low <= exact <= each.high for each in made]),
        np.mean([math.isfinite(each.high) for each in made]),
    )


def test_the_value_is_that_of_all_requests():
    trials = [np.arange(1, 51), np.arange(51, 101)]
    assert pooled_quantile(trials, 0.5).value == 51 and pooled_quantile(trials, 0.99).value == 100
    assert pooled_quantile([np.array([3]), np.array([], dtype=np.int64)], 0.5).value == 3


def test_stalls_of_a_few_processes_are_not_averaged_away():
    trials = [np.full(1000, 1.0) for _ in range(12)]
    for trial in trials[:3]:
        trial[::20] = 8.0  # 1.25 % of all requests
    assert pooled_quantile(trials, 0.99).value == 8.0
    assert math.isinf(pooled_quantile(trials, 0.99).high)  # three of twelve do not tell how many stall
    assert np.exp(np.mean([np.log(np.quantile(trial, 0.99)) for trial in trials])) < 2


def test_one_trial_tells_nothing_of_others():
    found = pooled_quantile([np.arange(1.0, 5001.0)], 0.5)
    assert (found.low, found.high, found.effective_n) == (-math.inf, math.inf, 0.0)
    assert found.loads.tolist() == [0.0]


def test_equal_trials_count_almost_like_independent_requests():
    n = effective_n(np.full(8, 500.0), np.full(8, 1000.0), 0.5)
    assert n == pytest.approx(8000 * (1.959964 / special.stdtrit(15, 0.975)) ** 2)  # half the df are the binomial's
    assert effective_n(np.array([1000.0, 0.0, 500.0, 500.0]), np.full(4, 1000.0), 0.5) < 4


def test_the_half_width_rises_with_the_ratio_and_is_students_where_trials_differ():
    for trials in (2, 3, 4, 5, 8, 12):
        widths = [half_width(ratio, trials) for ratio in np.geomspace(0.001, 1000, 200)]
        assert all(a <= b * (1 + 1e-12) for a, b in pairwise(widths)), trials
        assert widths[0] >= 1.959
        assert widths[-1] == pytest.approx(special.stdtrit(trials - 1, 0.975) * math.sqrt(1000))
    assert half_width(1.0, 4) == pytest.approx(special.stdtrit(3, 0.975))
    assert half_width(2.9, 4) <= math.sqrt(1000 / 368) * 1.959964  # 4 x 250 requests bound p99


def test_with_many_equal_trials_the_interval_is_that_of_one_sample():
    rng = np.random.default_rng(1)
    trials = list(rng.standard_normal((200, 50)))
    found, plain = pooled_quantile(trials, 0.9), quantile(np.sort(np.concatenate(trials)), 0.9)
    assert found.high - found.low == pytest.approx(plain.high - plain.low, rel=0.25)


@pytest.mark.parametrize(
    ("trials", "requests", "spread", "p", "covered", "bounded"),
    [
        (4, 250, 0.0, 0.99, 0.93, 0.95),
        (4, 250, 0.05, 0.99, 0.93, 0.94),
        (4, 250, 0.15, 0.99, 0.93, 0.85),
        (4, 250, 0.30, 0.99, 0.90, 0.0),
        (3, 1000, 0.05, 0.99, 0.93, 0.8),
        (4, 1000, 0.05, 0.5, 0.90, 1.0),
        (8, 1000, 0.15, 0.99, 0.92, 0.9),
    ],
)
def test_coverage_and_ends(trials, requests, spread, p, covered, bounded):
    found, ends = counted(trials, requests, spread, p)
    assert found >= covered and ends >= bounded


def test_a_median_of_processes_that_differ_more_than_their_requests_is_bounded():
    made = [pooled_quantile(sleepers(np.random.default_rng(s), 4, 300, 0.1, 0.01), 0.5) for s in range(400)]
    assert all(math.isfinite(each.high - each.low) for each in made)
    assert np.mean([each.effective_n for each in made]) < 6  # order statistics alone would not bound it
    assert np.mean([each.low <= 1.0 <= each.high for each in made]) >= 0.92


def test_a_tail_is_bounded_by_few_processes_only_if_they_are_alike():
    def bounded(spread):
        made = [pooled_quantile(sleepers(np.random.default_rng(s), 5, 1000, spread, 0.1), 0.99) for s in range(200)]
        exact = math.exp(math.hypot(0.1, spread) * float(special.ndtri(0.99)))
        ends, covered = zip(*[(math.isfinite(x.high), x.low <= exact <= x.high) for x in made], strict=True)
        return np.mean(ends), np.mean(covered)

    alike, unlike = bounded(0.03), bounded(0.2)
    assert alike[0] >= 0.9 and alike[1] >= 0.9
    assert unlike[0] <= 0.05


def test_too_few_requests_bound_nothing_however_alike_the_trials_are():
    assert math.isinf(pooled_quantile([np.linspace(1.0, 2.0, 90)] * 4, 0.99).high)
    assert not pooled.enough(360, 4, 0.99) and pooled.enough(800, 4, 0.99) and not pooled.enough(10**6, 1, 0.5)


def test_trials_taken_as_one_sample_would_cover_too_rarely(monkeypatch):
    monkeypatch.setattr(pooled, "half_width", lambda ratio, trials, tail=0.975: 1.959964)
    assert counted(8, 1000, 0.15, 0.5)[0] < 0.6


def test_loads_say_who_is_slow_and_their_norm_is_the_interval():
    block = np.exp(0.3 * np.random.default_rng(2).standard_normal(6))
    found = pooled_quantile([scale * np.random.default_rng(3).lognormal(0, 0.02, 500) for scale in block], 0.5)
    assert np.argmax(found.loads) == np.argmax(block) and np.argmin(found.loads) == np.argmin(block)
    t = special.stdtrit(5, 0.975)
    assert np.linalg.norm(found.loads) == pytest.approx(math.log(found.high / found.low) / 2 / t)


def test_where_one_end_is_missing_loads_follow_the_other():
    found = pooled_quantile(sleepers(np.random.default_rng(2), 3, 60, 0.0), 0.99)
    assert math.isinf(found.high) and found.low > 0
    assert np.linalg.norm(found.loads) == pytest.approx(math.log(found.value / found.low) / special.stdtrit(2, 0.975))


def test_loads_of_trials_that_agree_are_equal_and_not_zero():
    found = pooled_quantile([np.arange(1.0, 1001.0)] * 4, 0.5)
    assert found.loads == pytest.approx(np.full(4, found.loads[0])) and found.loads[0] > 0


def test_loads_are_zero_where_nothing_is_known_and_where_nothing_ran():
    assert not pooled_quantile([np.zeros(100), np.zeros(100)], 0.5).loads.any()
    assert not pooled_quantile([np.ones(2), np.full(2, 3.0)], 0.99).loads.any()
    found = pooled_quantile([np.arange(1.0, 301.0), np.array([]), np.arange(2.0, 302.0), np.arange(3.0, 303.0)], 0.5)
    assert found.loads[1] == 0.0 and found.loads[3] > found.loads[0]


@settings(max_examples=60, deadline=None)
@given(TRIALS, st.sampled_from([0.1, 0.5, 0.9, 0.99]), st.integers(0, 10**6))
def test_the_order_of_trials_is_only_an_order_and_units_only_units(lists, p, seed):
    trials = [np.array(each, dtype=np.float64) for each in lists]
    order = np.random.default_rng(seed).permutation(len(trials))
    one, other = pooled_quantile(trials, p), pooled_quantile([8.0 * trials[i] for i in order], p)
    assert other[:3] == pytest.approx([8.0 * each for each in one[:3]], rel=1e-9)
    assert other.effective_n == pytest.approx(one.effective_n)
    assert other.loads == pytest.approx(one.loads[order], abs=1e-9)
    assert one.low <= one.value <= one.high
    assert 0.0 <= one.effective_n <= sum(map(len, lists))


def test_several_percentiles_at_once_are_the_same():
    trials = sleepers(np.random.default_rng(3), 4, 300, 0.1)
    for p, found in pooled_quantiles(trials, (0.5, 0.99)).items():
        alone = pooled_quantile(trials, p)
        assert found[:4] == alone[:4] and np.array_equal(found.loads, alone.loads)


@pytest.mark.parametrize(("trials", "p"), [([], 0.5), ([np.array([])], 0.5), ([np.ones(3)], 1.0), ([np.ones(3)], 0.0)])
def test_wrong_input_is_refused(trials, p):
    with pytest.raises(ValueError, match=r"no samples|strictly between"):
        pooled_quantile(trials, p)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.sampled_from([0.0, 0.1, 0.5, 2.0]))
def test_ends_rise_with_the_percentile(seed, k, spread):
    """A median that could be 16 ms beside a p99 of 19 µs at most was shown once."""
    rng = np.random.default_rng(seed)
    trials = [np.exp(rng.normal(0.0, spread) + 0.2 * rng.standard_normal(400)) for _ in range(k)]
    trials[0][:2] *= 1000.0
    found = pooled_quantiles(trials, [0.99, 0.5, 0.9])
    p50, p90, p99 = found[0.5], found[0.9], found[0.99]
    assert [*found] == [0.99, 0.5, 0.9]
    assert p50.low <= p90.low <= p99.low and p50.high <= p90.high <= p99.high
    assert all(each.low <= each.value <= each.high for each in found.values())
