"""Metrics of dataset rows: standard errors against closed forms, and pairs that cancel what rows share."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.score.assess import estimates_of
from harness.score.compare import compare, sensitivity_of
from harness.score.estimate import estimate, standard_error
from harness.score.rank import rank
from harness.score.records import Measure, RowScores
from harness.score.weights import weighting_of
from harness.spec.policy import Objective, Policy

RMSE = Policy(objectives={"rmse": Objective(weight=1, target=0.1, limit=10)})


def cell(make, name, key, values, weights=None, transform="mean"):
    value = float(np.average(values, weights=weights))
    value = math.sqrt(value) if transform == "root" else value
    measure = Measure(value=value, low=value, high=value, n=len(values), trials=1, unit="", basis="exact")
    scores = RowScores(values=np.asarray(values, dtype=float), weights=weights, transform=transform)
    return make.entry(name, metrics={key: measure}, rows={key: scores})


def gap(entries, policy):
    weighting = weighting_of(policy, policy.objectives)
    sensitivities = [sensitivity_of(estimates_of(each, policy), weighting, policy) for each in entries]
    return compare(np.zeros(2), sensitivities, np.ones((2, 2), dtype=bool)).gap(0, 1)


@pytest.fixture
def squared():
    """Squared errors of two models over 500 rows: the same few hard rows, 10 % apart."""
    rng = np.random.default_rng(1)
    shared = rng.lognormal(0, 1.5, 500)
    return shared, 1.1 * shared * rng.lognormal(0, 0.05, 500)


def test_a_mean_has_its_standard_error(make):
    values = np.random.default_rng(2).normal(0.6, 0.2, 50)
    found = estimate(cell(make, "a", "accuracy", values), "accuracy")
    assert standard_error(found) == pytest.approx(values.std(ddof=1) / math.sqrt(50))


def test_a_root_has_the_standard_error_of_the_delta_method(make, squared):
    found = estimate(cell(make, "a", "rmse", squared[0], transform="root"), "rmse")
    error_of_mean = squared[0].std(ddof=1) / math.sqrt(500)
    assert found.log
    assert standard_error(found) == pytest.approx(error_of_mean / (2 * squared[0].mean()))


def test_pairs_of_rmse_cancel_the_rows_they_share(make, squared):
    entries = [cell(make, n, "rmse", each, transform="root") for n, each in zip("ab", squared, strict=True)]
    alone = math.hypot(*(standard_error(estimate(each, "rmse")) for each in entries)) / math.log(100)
    assert gap(entries, RMSE).error < 0.1 * alone
    assert [row.rank_low for row in rank(entries, RMSE, suite="s", draws=500).rows] == [1, 2]
    apart = [entries[0], cell(make, "b", "rmse", squared[1][::-1], transform="root")]
    assert gap(apart, RMSE).error == pytest.approx(alone, rel=0.2)
    assert [row.rank_low for row in rank(apart, RMSE, suite="s", draws=500).rows] == [1, 1]


def test_identical_rows_cannot_differ(make, squared):
    entries = [cell(make, name, "rmse", squared[0], transform="root") for name in "ab"]
    assert gap(entries, RMSE).error == 0.0


def test_weights_matter(make):
    """Weights 0 leave rows out; a constant factor changes nothing; few heavy rows are more uncertain."""
    values = np.random.default_rng(3).normal(0.6, 0.2, 40)
    half = np.repeat([1.0, 0.0], 20)

    def error(weights, of=values):
        return standard_error(estimate(cell(make, "a", "accuracy", of, weights), "accuracy"))

    assert error(half) == pytest.approx(error(None, values[:20]))
    assert error(np.full(40, 7.0)) == pytest.approx(error(None))
    assert error(np.where(np.arange(40) < 4, 20.0, 1.0)) > 1.5 * error(None)


@pytest.mark.parametrize("weights", [np.ones(200), np.full(200, 0.5)])
def test_equal_weights_leave_an_accuracy_as_it_is(make, weights):
    correct = make.right(200, range(15))
    plain, weighted = (estimate(cell(make, "a", "accuracy", correct, w), "accuracy") for w in (None, weights))
    assert standard_error(weighted) == pytest.approx(standard_error(plain))
    assert (weighted.rows, weighted.own) == (pytest.approx(plain.rows), pytest.approx(plain.own))


def test_all_right_is_uncertain_with_weights_too(make):
    """Kish: weights 1 and 3 in equal parts count as 100 · 4/5 rows, so p̃ = 82/84."""
    found = estimate(cell(make, "a", "accuracy", np.ones(100), np.tile([1.0, 3.0], 50)), "accuracy")
    assert standard_error(found) == pytest.approx(math.sqrt(82 / 84 * 2 / 84 / 84))


def test_without_errors_a_root_is_zero_and_certain(make):
    found = estimate(cell(make, "a", "rmse", np.zeros(30), transform="root"), "rmse")
    assert (found.value, standard_error(found), found.certain) == (0.0, 0.0, True)


def test_one_row_tells_no_spread(make):
    assert not estimate(cell(make, "a", "rmse", np.array([0.4]), transform="root"), "rmse").certain
