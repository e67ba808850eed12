"""Intervals of values drawn from few measurements: coverage, and what they must not claim."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.stats.clustered import Stratum, mean, quantile


def drawn(samples, n, rng):
    """Draw n values of samples [processes, each]."""
    chosen = rng.integers(0, samples.size, n)
    return Stratum(samples.ravel()[chosen], chosen // samples.shape[1], samples.size)


def test_coverage_of_a_mixture_where_the_tail_is_cold():
    """5 % of requests are cold, ten times as long: p99 is the 80th percentile of 30 cold times."""
    truth = 10.0 * math.exp(0.3 * 0.8416)
    hits, bounded, runs = 0, 0, 300
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        warm = np.exp(0.1 * rng.standard_normal((30, 20)) + 0.05 * rng.standard_normal((30, 1)))
        cold = 10.0 * np.exp(0.3 * rng.standard_normal((30, 1)))
        found = quantile((drawn(warm, 9_500, rng), drawn(cold, 500, rng)), 0.99)
        bounded += math.isfinite(found.high)
        hits += found.low <= truth <= found.high
    assert hits / runs >= 0.93
    assert bounded / runs > 0.9


def test_coverage_of_a_warm_percentile_and_of_a_mean():
    covered, means, runs = 0, 0, 300
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        warm = np.exp(0.2 * rng.standard_normal((30, 20)) + 0.05 * rng.standard_normal((30, 1)))
        strata = (drawn(warm, 20_000, rng),)
        truth = math.exp(math.hypot(0.2, 0.05) * 1.2816)
        found = quantile(strata, 0.90)
        covered += found.low <= truth <= found.high
        low, high = mean(strata).ends()
        means += low <= math.exp((0.2**2 + 0.05**2) / 2) <= high
    assert covered / runs >= 0.93
    assert means / runs >= 0.92


def test_a_million_draws_of_thirty_times_do_not_bound_a_far_tail():
    rng = np.random.default_rng(1)
    cold = rng.exponential(1.0, (30, 1))
    found = quantile((drawn(cold, 1_000_000, rng),), 0.999)
    assert found.high == math.inf and found.effective_n <= 30


def test_one_process_tells_nothing_of_others():
    rng = np.random.default_rng(1)
    found = quantile((drawn(rng.exponential(1.0, (1, 500)), 10_000, rng),), 0.5)
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert mean((drawn(rng.exponential(1.0, (1, 500)), 10_000, rng),)).error == math.inf


def test_equal_values_are_known_as_well_as_their_number_says():
    same = Stratum(np.full(1000, 3.0), np.arange(1000) % 4, 400)
    found = quantile((same,), 0.99)
    assert (found.value, found.low, found.high, found.effective_n) == (3.0, 3.0, 3.0, 400)
    assert mean((same,)) == (3.0, 0.0, math.inf)


def test_warm_and_cold_of_the_same_processes_add_up():
    process = np.arange(400) % 4
    warm, cold = Stratum(np.where(process < 2, 1.0, 2.0), process, 400), Stratum(np.full(100, 9.0), process[:100], 4)
    found = mean((warm, cold))
    assert found.value == pytest.approx((1.5 * 400 + 900) / 500)
    between = 4 / 3 * 4 * (100 * 0.5) ** 2 / 400**2  # of the warm mean: four processes half a second away
    assert found.error == pytest.approx(math.sqrt(between) * 0.8)
    assert found.df == pytest.approx(3.0)
