from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.score.estimate import estimate, standard_error
from harness.score.resample import NoiseDraws, draws_of

P50 = "latency_p50_ms"
DRAWS = 40_000


def draws(entries, key=P50, seed=0, count=DRAWS):
    return draws_of([estimate(entry, key) for entry in entries], NoiseDraws(count, seed))


def test_marginals_are_students_t_on_logs(make):
    trials = [4.0, 4.4, 4.2, 4.9, 4.1]
    logs = np.log(trials)
    (drawn,) = draws([make.entry("a", {P50: trials})])
    expected = stats.t.ppf([0.025, 0.25, 0.5, 0.75, 0.975], 4) * logs.std(ddof=1) / math.sqrt(5)
    got = np.quantile(np.log(drawn), [0.025, 0.25, 0.5, 0.75, 0.975]) - logs.mean()
    assert got == pytest.approx(expected, abs=0.004)


def test_drift_common_to_blocks_cancels_in_ratios(make):
    """Ten per cent of drift, shared: each row is uncertain, their ratio is not."""
    drift = np.array([1.0, 1.1, 0.9, 1.2, 1.05])
    one, two = draws([make.entry("a", {P50: drift}), make.entry("b", {P50: 1.3 * drift})])
    assert np.log(one).std() > 0.04
    assert two / one == pytest.approx(1.3)


def test_a_paired_difference_has_the_paired_standard_error(make):
    rng = np.random.default_rng(3)
    drift = rng.normal(0, 0.2, 8)
    logs = drift + rng.normal(0, 0.02, (2, 8))
    one, two = draws([make.entry(str(i), {P50: np.exp(each)}) for i, each in enumerate(logs)])
    expected = stats.t.ppf(0.975, 7) * (logs[0] - logs[1]).std(ddof=1) / math.sqrt(8)
    low, high = np.quantile(np.log(one / two), [0.025, 0.975])
    assert (high - low) / 2 == pytest.approx(expected, rel=0.04)


def test_identical_data_give_identical_draws_and_the_field_changes_nothing(make):
    one = make.entry("a", {P50: [1.0, 1.2, 1.1]})
    twin = make.entry("z", {P50: [1.0, 1.2, 1.1]})
    other = make.entry("b", {P50: [5.0, 4.0, 6.0, 7.0]})
    alone = draws([one])[0]
    _, second, third = draws([other, one, twin])
    assert (second == alone).all()
    assert (second == third).all()


def test_a_block_that_a_row_missed_does_not_count(make):
    with_gap = make.entry("a", {P50: [1.0, math.nan, 1.2, 1.1]})
    found = estimate(with_gap, P50)
    expected = np.log([1.0, 1.2, 1.1]).std(ddof=1) / math.sqrt(3)
    assert standard_error(found) == pytest.approx(expected)
    assert (found.df, found.blocks[1]) == (2.0, 0.0)


def test_a_missed_block_leaves_the_others_paired(make):
    drift = np.array([1.0, 1.3, 0.8, 1.1])
    whole, gap = draws([make.entry("a", {P50: drift}), make.entry("b", {P50: [*drift[:3], math.nan]})])
    alone = draws([make.entry("b", {P50: [1.0, 0.9, 1.4]})])[0]
    assert np.corrcoef(np.log(whole), np.log(gap))[0, 1] > 0.8
    assert alone.shape == gap.shape


def test_trials_that_agree_are_constant(make):
    (drawn,) = draws([make.entry("a", {P50: [2.5, 2.5, 2.5]})])
    assert drawn == pytest.approx(2.5)
    assert drawn.std() == 0.0


@pytest.mark.parametrize("n", [200, 1020, 5000])
def test_accuracy_draws_have_agresti_and_coulls_variance(make, n):
    entry = make.entry("a", correct=make.right(n, range(n // 20)))
    (drawn,) = draws([entry], "accuracy")
    share = (n - n // 20 + 2) / (n + 4)
    assert drawn.std() == pytest.approx(math.sqrt(share * (1 - share) / (n + 4)), rel=0.06)
    assert drawn.mean() == pytest.approx(0.95, abs=0.002)


@pytest.mark.parametrize("n", [500, 6000])
def test_shared_dataset_rows_make_the_difference_sharp(make, n):
    """Two candidates wrong on the same hard rows, apart on 12 and 8: variance (12 + 8 + 2)/ñ²."""
    hard = list(range(n // 10))
    one = make.right(n, hard + [n - 1 - i for i in range(12)])
    two = make.right(n, hard + [n - 50 - i for i in range(8)])
    first, second = draws([make.entry("a", correct=one), make.entry("b", correct=two)], "accuracy")
    assert (first - second).std() == pytest.approx(math.sqrt(22) / (n + 4), rel=0.06)
    assert (first - second).std() < 0.7 * first.std()


def test_identical_predictions_cannot_differ(make):
    correct = make.right(300, [5, 17])
    one, two = draws([make.entry("a", correct=correct), make.entry("b", correct=correct)], "accuracy")
    assert (one == two).all()
    assert one.std() > 0


def test_all_right_is_uncertain_too(make):
    (drawn,) = draws([make.entry("a", correct=make.right(100))], "accuracy")
    assert drawn.std() == pytest.approx(math.sqrt(102 / 104 * 2 / 104 / 104), rel=0.03)


def test_two_trials_do_not_overflow(make):
    (drawn,) = draws([make.entry("a", {P50: [1.0, 50.0]})])
    assert np.isfinite(drawn).all()


def test_the_seed_decides(make):
    entry = make.entry("a", {P50: [1.0, 1.2, 1.1]})
    assert (draws([entry], seed=1, count=9) == draws([entry], seed=1, count=9)).all()
    assert (draws([entry], seed=1, count=9) != draws([entry], seed=2, count=9)).any()
