from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.score.assess import estimates_of
from harness.score.compare import beyond_margin, compare, fixed_variances, sensitivity_of, sum_of_noise, tie_margin
from harness.score.estimate import Estimate
from harness.score.settle import Gap, blocks_to_settle
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
    gap = found.gap(0, 1)
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
    ).gap(0, 1)
    assert gap.error == pytest.approx(math.sqrt(6 + 2) / 404, rel=0.03)
    assert (gap.by_blocks, gap.half_width(0.025)) == (0.0, pytest.approx(1.96 * gap.error, rel=1e-3))


def test_rows_are_compared_in_the_blocks_they_share(make, fastest):
    """`b` left after three blocks; the host was twice as slow in the fourth and fifth."""
    drift = np.array([1.0, 1.1, 0.9, 2.0, 2.2])
    noise = np.array([1.0, 1.01, 0.99])
    entries = [make.entry("a", {P50: drift}), make.entry("b", {P50: 1.3 * drift[:3] * noise})]
    gap = compare(np.array([0.6, 0.5]), sensitivities(entries, fastest), all_apart(2)).gap(0, 1)
    assert gap.error == pytest.approx(np.log(noise).std(ddof=1) / math.sqrt(3) / math.log(100))
    assert gap.df == 2.0


def test_metrics_with_fewer_trials_keep_their_standard_error():
    """One metric has four blocks, the other two of them."""
    one = Estimate(1.0, True, by_block=np.array([0.1, -0.1, 0.05, -0.05]))
    two = Estimate(1.0, True, by_block=np.array([0.02, math.nan, -0.02, math.nan]))
    both = sum_of_noise([(two, 1.0)])
    assert both.by_block[[0, 2]].tolist() == [0.02, -0.02]
    summed = sum_of_noise([(one._replace(by_block=np.zeros(4)), 1.0), (two, 1.0)]).by_block
    assert summed.std(ddof=1) / 2 == pytest.approx(np.std([0.02, -0.02], ddof=1) / math.sqrt(2))
    assert sum_of_noise([(one, 2.0), (two, 0.0)]).by_block.tolist() == pytest.approx((2 * one.by_block).tolist())


def test_rank_sets_count_who_is_better_and_who_is_worse(make, fastest):
    rng = np.random.default_rng(5)
    centres = (1.0, 1.0, 2.0, 4.0)
    entries = [make.entry(str(ms), {P50: ms * np.exp(rng.normal(0, 0.02, 6))}) for ms in centres]
    scores = -np.log(centres) / math.log(100)
    found = compare(scores, sensitivities(entries, fastest), all_apart(4))
    assert [*zip(found.low.tolist(), found.high.tolist(), strict=True)] == [(1, 2), (1, 2), (3, 3), (4, 4)]


def test_one_trial_beats_nobody_and_loses_to_nobody(make, fastest):
    entries = [make.entry("a", {P50: [1.0]}), make.entry("b", {P50: [9.0, 9.1, 9.0, 9.1]})]
    found = compare(np.array([0.9, 0.1]), sensitivities(entries, fastest), all_apart(2))
    assert not found.better.any()
    assert found.gap(0, 1).error == math.inf


def test_more_rows_need_more_evidence(make, fastest):
    entries = [make.entry("a", {P50: [1.0, 1.1, 1.2]})] * 5
    found = compare(np.zeros(5), sensitivities(entries, fastest), all_apart(5))
    assert found.level == pytest.approx(0.05 / (5 * 4)), "each of 20 statements could be wrong"


def test_what_is_proven_decides_who_is_better_and_the_score_who_is_worse(make, fastest):
    """`b` scores more, but its upper end is open: it beats nobody, and `c` does not beat it."""
    rng = np.random.default_rng(5)
    centres = (2.0, 1.0, 4.0)
    entries = [make.entry(str(ms), {P50: ms * np.exp(rng.normal(0, 0.02, 6))}) for ms in centres]
    scores = 1 - np.log(centres) / math.log(100)
    found = compare(scores, sensitivities(entries, fastest), all_apart(3), np.array([scores[0], 0.0, scores[2]]))
    assert [*zip(found.low.tolist(), found.high.tolist(), strict=True)] == [(1, 2), (1, 3), (2, 3)]
    assert not found.told_apart(0, 1) and found.told_apart(2, 0)


def test_a_row_whose_blocks_agree_by_luck_borrows_the_noise_of_the_others(make, fastest):
    """Four blocks of six rows, 5 % noise: two of them agree to 0.1 % by luck and differ by 3 %."""
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 0.05, (6, 4))
    noise[1] = noise[0] + 0.001 * rng.normal(0, 1, 4)
    entries = [make.entry(str(i), {P50: np.exp(each)}) for i, each in enumerate(noise)]
    two = compare(np.array([0.5, 0.49]), sensitivities(entries[:2], fastest), all_apart(2))
    assert two.told_apart(0, 1) and two.gap(0, 1).borrowed == 0.0
    six = compare(np.array([0.5, 0.49, 0, 0, 0, 0]), sensitivities(entries, fastest), all_apart(6))
    assert not six.told_apart(0, 1)
    assert six.gap(0, 1).borrowed > 0 and six.gap(0, 1).error > 10 * two.gap(0, 1).error


def test_what_more_blocks_do_not_reduce_is_the_dataset(make):
    entries = [make.entry("a", correct=make.right(400, range(30))), make.entry("b", correct=make.right(400, range(24)))]
    fixed = fixed_variances(sensitivities(entries, ACCURATE))
    assert fixed[0, 1] == pytest.approx((6 + 2) / 404**2, rel=0.06)
    assert fixed[0, 0] == 0.0


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
