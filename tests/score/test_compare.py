from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.score.assess import estimates_of
from harness.score.compare import Gap, beyond_margin, blocks_to_settle, compare, sensitivity_of, tie_margin
from harness.score.weights import single_log_metric, weighting_of
from harness.spec.policy import Objective, Policy

P50 = "latency_p50_ms"
ACCURATE = Policy(objectives={"accuracy": Objective(weight=1, target=1.0, limit=0.0)})


def sensitivities(entries, policy):
    weighting = weighting_of(policy, policy.objectives)
    return [sensitivity_of(estimates_of(entry, policy), weighting, policy) for entry in entries]


def all_apart(k):
    return np.ones((k, k), dtype=bool)


def test_one_metric_over_shared_blocks_is_the_paired_t_test(make, fastest):
    one, two = [1.00, 1.10, 0.95, 1.20, 1.05], [1.10, 1.16, 1.09, 1.27, 1.13]
    entries = [make.entry("a", {P50: one}), make.entry("b", {P50: two})]
    span = math.log(10 / 0.1)
    scores = np.array([-np.log(each).mean() / span for each in (one, two)])
    found = compare(scores, sensitivities(entries, fastest), all_apart(2))
    expected = stats.ttest_rel(np.log(two), np.log(one))
    gap = found.gaps[0][1]
    assert (scores[0] - scores[1]) / gap.error == pytest.approx(expected.statistic)
    assert gap.df == pytest.approx(4)
    assert found.level == 0.025
    assert found.better.tolist() == [[False, True], [False, False]]


def test_accuracies_over_shared_rows_are_compared_by_the_rows_that_differ(make):
    one, two = make.right(400, range(30)), make.right(400, range(24))
    gap = compare(
        np.zeros(2),
        sensitivities([make.entry("a", correct=one), make.entry("b", correct=two)], ACCURATE),
        all_apart(2),
    ).gaps[0][1]
    assert gap.error == pytest.approx(math.sqrt(6 + 2) / 404, rel=0.03)
    assert (gap.by_blocks, gap.df) == (0.0, math.inf)


def test_rank_intervals_count_who_is_better_and_who_is_worse(make, fastest):
    rng = np.random.default_rng(5)
    centres = (1.0, 1.0, 2.0, 4.0)
    entries = [make.entry(str(ms), {P50: ms * np.exp(rng.normal(0, 0.02, 6))}) for ms in centres]
    scores = -np.log(centres) / math.log(100)
    found = compare(scores, sensitivities(entries, fastest), all_apart(4))
    assert [(found.rank_low(i), found.rank_high(i)) for i in range(4)] == [(1, 2), (1, 2), (3, 3), (4, 4)]


def test_one_trial_beats_nobody_and_loses_to_nobody(make, fastest):
    entries = [make.entry("a", {P50: [1.0]}), make.entry("b", {P50: [9.0, 9.1, 9.0, 9.1]})]
    found = compare(np.array([0.9, 0.1]), sensitivities(entries, fastest), all_apart(2))
    assert not found.better.any()
    assert found.gaps[0][1].error == math.inf


def test_more_rows_need_more_evidence(make, fastest):
    entries = [make.entry("a", {P50: [1.0, 1.1, 1.2]})] * 5
    assert compare(np.zeros(5), sensitivities(entries, fastest), all_apart(5)).level == pytest.approx(0.025 / 4)


def test_the_margin_of_a_single_log_metric_is_a_ratio(fastest):
    scores, values = np.array([0.5, 0.5 + 1e-3, 0.52]), np.array([1.0, 1.019, 1.03])
    assert beyond_margin(scores, {P50: values}, fastest)[0].tolist() == [False, False, True]
    assert (single_log_metric(fastest), tie_margin(fastest)) == (P50, 0.02)


def test_the_margin_of_several_objectives_is_on_the_score():
    two = Policy(objectives={key: Objective(weight=1, target=1, limit=10) for key in (P50, "load_ms")})
    values = {P50: np.array([1.0, 9.0]), "load_ms": np.array([1.0, 1.0])}
    assert not beyond_margin(np.array([0.5, 0.509]), values, two).any()
    assert beyond_margin(np.array([0.5, 0.511]), values, two)[0, 1]
    assert (single_log_metric(two), tie_margin(two)) == (None, 0.01)


def test_an_objective_without_weight_does_not_change_the_margin():
    scales = {P50: Objective(weight=1, target=1, limit=10), "load_ms": Objective(weight=0, target=1, limit=10)}
    assert single_log_metric(Policy(objectives=scales)) == P50


def test_the_margin_of_a_linear_metric_is_on_the_score():
    assert beyond_margin(np.array([0.50, 0.52]), {"accuracy": np.array([0.950, 0.951])}, ACCURATE)[0, 1]
    assert single_log_metric(ACCURATE) is None


@pytest.mark.parametrize(("scale", "apart"), [("log", True), ("linear", False)])
def test_the_scale_of_the_objective_decides_not_that_of_the_metric(scale, apart):
    """1 ms and 1.05 ms: 5 % by ratio, but 0.005 of a linear scale of 10 ms."""
    policy = Policy(objectives={P50: Objective(weight=1, target=1, limit=11, scale=scale)})
    assert beyond_margin(np.array([1.0, 0.995]), {P50: np.array([1.0, 1.05])}, policy)[0, 1] == apart
    assert tie_margin(policy) == (0.02 if apart else 0.01)


def test_blocks_that_would_settle_a_tie():
    """t_{n-1} √(0.01/n) < 0.05 for the first time at n = 18 (t_17 = 2.110; t_16 = 2.120 needs 17.98)."""
    assert blocks_to_settle(-0.05, Gap(0.01 / 5, 0.0, 4.0), 0.025, 5) == 18


def test_no_number_of_blocks_settles_what_the_dataset_leaves_open():
    assert blocks_to_settle(-0.05, Gap(0.002, 0.03**2, 30.0), 0.025, 5) is None
    assert blocks_to_settle(-0.05, Gap(0.0, 0.03**2, math.inf), 0.025, 5) is None
