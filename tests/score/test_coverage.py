"""Are the intervals as wide as they say? Seeded simulations with a known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.score.estimate import estimate
from harness.score.limits import probability
from harness.score.rank import rank
from harness.score.records import Measure
from harness.score.weights import utility
from harness.spec.policy import Limit, Objective, Policy
from harness.stats.pooled import pooled_quantile

P50, P99 = "latency_p50_ms", "latency_p99_ms"
ONE = Policy(objectives={P50: Objective(weight=1, target=0.1, limit=10)})


def slack(share, n):
    """Three binomial standard deviations."""
    return 3 * math.sqrt(share * (1 - share) / n)


@pytest.mark.parametrize("blocks", [3, 5, 10])
def test_score_intervals_cover_the_truth(make, blocks):
    """95 % of intervals hold the score of the true latency, also with few blocks."""
    n, truth = 1000, float(utility(np.array([1.3]), P50, ONE.objectives[P50])[0])
    rng = np.random.default_rng(blocks)
    covered = 0
    for seed in range(n):
        trials = 1.3 * np.exp(rng.normal(0, 0.05, blocks))
        (row,) = rank([make.entry("a", {P50: trials})], ONE, suite="s", draws=1000, seed=seed).rows
        covered += row.score_low <= truth <= row.score_high
    print(f"k = {blocks}: {covered / n:.4f} of {n}")
    assert covered / n == pytest.approx(0.95, abs=slack(0.95, n))


def pairs(make, effect, blocks, n, seed=0):
    """Count pairs that are declared different, under 10 % drift and 2 % spread between processes."""
    rng = np.random.default_rng(seed)
    different = 0
    for _ in range(n):
        drift = rng.normal(0, 0.1, blocks).cumsum()
        one, two = np.exp(drift + rng.normal(0, 0.02, (2, blocks)))
        entries = [make.entry("a", {P50: one}), make.entry("b", {P50: two * effect})]
        different += not rank(entries, ONE, suite="s", draws=10).rows[1].may_be_best
    print(f"effect {effect}, k = {blocks}: {different / n:.4f} of {n}")
    return different / n


@pytest.mark.parametrize("blocks", [3, 5, 10])
def test_the_same_candidate_twice_is_rarely_different(make, blocks):
    assert pairs(make, 1.0, blocks, 1000) <= 0.05 + slack(0.05, 1000)


def test_five_per_cent_are_found(make):
    assert pairs(make, 1.05, 8, 400) >= 0.9


@pytest.mark.parametrize(("blocks", "spikes"), [(3, 0.0), (4, 0.1), (5, 0.1), (5, 0.0)])
def test_of_tables_of_equal_rows_few_say_that_any_is_better(make, blocks, spikes):
    """Fifteen equal rows; with `spikes`, that share of the trials is hit by up to 30 %."""
    rng = np.random.default_rng(4)
    wrong, tables = 0, 150
    for _ in range(tables):
        noise = rng.normal(0, 0.03, (15, blocks)) + (rng.random((15, blocks)) < spikes) * rng.uniform(
            0, 0.3, (15, blocks)
        )
        entries = [make.entry(str(i), {P50: np.exp(each)}) for i, each in enumerate(noise)]
        wrong += any(row.rank_low > 1 for row in rank(entries, ONE, suite="s", draws=10).rows)
    print(f"{wrong} of {tables} tables")
    assert wrong / tables <= 0.05 + slack(0.05, tables)


def pooled(make, name, trials):
    """A cell whose p99 is that of all requests of its trials."""
    found = pooled_quantile(trials, 0.99)
    low, high = (end if math.isfinite(end) else None for end in (found.low, found.high))
    measure = Measure(
        value=found.value, low=low, high=high, n=sum(map(len, trials)), trials=len(trials), unit="ms", basis="pooled",
        effective_n=found.effective_n,
    )  # fmt: skip
    own = {P99: [float(np.quantile(trial, 0.99)) for trial in trials]}
    return make.entry(name, own, metrics={P99: measure}, loads={P99: tuple(found.loads.tolist())})


@pytest.mark.parametrize("spikes", [0.0, 0.1])
def test_of_tables_of_pooled_tails_on_a_host_that_drifts_few_say_that_any_is_better(make, spikes):
    """Ten equal rows of five trials, that drift together by 20 % a block and apart by 3 %.

    The slowest block makes nearly all of a pooled p99, and the influence of the trials on it looks alike in all rows.
    """
    rng, wrong, tables = np.random.default_rng(5), 0, 60
    policy = Policy(objectives={P99: Objective(weight=1, target=0.1, limit=10)})
    for _ in range(tables):
        drift = np.cumsum(0.2 * rng.standard_normal(5))
        own = (
            drift + 0.03 * rng.standard_normal((10, 5)) + (rng.random((10, 5)) < spikes) * rng.uniform(0, 0.3, (10, 5))
        )
        cells = [[np.exp(each + 0.15 * rng.standard_normal(200)) for each in row] for row in own]
        entries = [pooled(make, str(i), trials) for i, trials in enumerate(cells)]
        wrong += any(row.rank_low > 1 for row in rank(entries, policy, suite="s", draws=10).rows)
    print(f"{wrong} of {tables} tables")
    assert wrong / tables <= 0.05 + slack(0.05, tables)


def test_a_limit_on_the_edge_is_passed_once_in_twenty(make):
    """The true latency is the limit: P(limit holds) ≥ 0.95 must be a 5 % accident."""
    rng, n = np.random.default_rng(6), 4000
    trials = 5.0 * np.exp(rng.normal(0, 0.05, (n, 5)))
    found = [estimate(make.entry("a", {P50: each}), P50) for each in trials]
    passed = np.mean([probability(each, Limit(max=5.0)) >= 0.95 for each in found])
    assert passed == pytest.approx(0.05, abs=slack(0.05, n))


@pytest.mark.parametrize("rows", [200, 1000])
def test_an_accuracy_on_the_edge_is_passed_about_once_in_twenty(make, rows):
    """Counts are coarse and skewed: 8 % is allowed, and asked of what is really 0.95."""
    rng, n = np.random.default_rng(7), 3000
    found = [estimate(make.entry("a", correct=rng.random(rows) < 0.95), "accuracy") for _ in range(n)]
    passed = np.mean([probability(each, Limit(min=0.95)) >= 0.95 for each in found])
    print(f"{rows} rows: {passed:.4f} of {n}")
    assert passed <= 0.08


def test_accuracies_over_the_same_rows_are_rarely_different(make):
    """Two equally good candidates that err together on hard rows and apart on some."""
    policy = Policy(objectives={"accuracy": Objective(weight=1, target=1.0, limit=0.9)})
    rng, n, different = np.random.default_rng(8), 600, 0
    for _ in range(n):
        hard = rng.random(500) < 0.03
        vectors = [~hard & (rng.random(500) > 0.02) for _ in range(2)]
        entries = [make.entry(name, correct=each) for name, each in zip("ab", vectors, strict=True)]
        different += not rank(entries, policy, suite="s", draws=10).rows[1].may_be_best
    print(f"{different / n:.4f} of {n}")
    assert different / n <= 0.05 + slack(0.05, n)
