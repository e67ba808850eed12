"""Rank sets: exact where all is certain, never narrower with less certainty, and right in 95 % of families."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from harness.stats.ranksets import rank_sets

SCORES = st.lists(st.floats(-6, 6), min_size=1, max_size=9)


def pvalues(scores, error=1.0):
    scores = np.asarray(scores, dtype=np.float64)
    return special.ndtr(-(scores[:, None] - scores[None, :]) / (np.sqrt(2) * error))


def test_certain_orders_give_exact_ranks():
    order = np.array([3, 0, 2, 1, 4])
    found = rank_sets(np.where(order[:, None] < order[None, :], 0.0, 1.0))
    assert found.low.tolist() == found.high.tolist() == (order + 1).tolist()


def test_equal_cells_may_all_be_anywhere():
    found = rank_sets(np.full((6, 6), 0.5))
    assert found.low.tolist() == [1] * 6 and found.high.tolist() == [6] * 6 and not found.better.any()
    assert found.level == pytest.approx(0.05 / 30)


def test_two_cells_are_a_two_sided_test():
    assert rank_sets(np.array([[1.0, 0.024], [0.976, 1.0]])).low.tolist() == [1, 2]
    assert rank_sets(np.array([[1.0, 0.026], [0.974, 1.0]])).low.tolist() == [1, 1]


def test_what_is_told_makes_the_rest_easier():
    p = np.full((3, 3), 0.5)
    p[0, 1] = p[0, 2] = 0.001
    p[1, 2] = 0.02  # 0.05 / 6 at first; one pair is left then, and 0.05 / 2
    found = rank_sets(p)
    assert found.better[1, 2] and found.low.tolist() == [1, 2, 3] and found.high.tolist() == [1, 2, 3]
    p[0, 2] = 0.5
    p[0, 1] = 0.5
    assert not rank_sets(p).better[1, 2]


def test_two_results_make_a_third_and_contradictions_make_none():
    p = np.ones((3, 3))
    p[0, 1] = p[1, 2] = 0.0
    assert rank_sets(p).better[0, 2]
    p[2, 0] = 0.0
    assert not rank_sets(p).better.any()


def test_untestable_pairs_are_not_told_apart():
    p = pvalues([9.0, 0.0, -9.0])
    p[0, 1] = p[1, 0] = np.nan
    found = rank_sets(p)
    assert not found.better[0, 1] and found.better[0, 2] and found.low.tolist() == [1, 1, 3]


def test_no_cells_and_one_cell_and_wrong_shapes():
    assert rank_sets(np.empty((0, 0))).low.size == 0
    assert rank_sets(np.array([[np.nan]])).high.tolist() == [1]
    with pytest.raises(ValueError, match="ordered pair"):
        rank_sets(np.zeros((2, 3)))


@settings(max_examples=100, deadline=None)
@given(SCORES, st.floats(0.05, 3))
def test_sets_are_sets_and_better_is_an_order(scores, error):
    found = rank_sets(pvalues(scores, error))
    assert np.all(found.low >= 1) and np.all(found.low <= found.high) and np.all(found.high <= len(scores))
    assert not (found.better & found.better.T).any()
    assert not ((found.better.astype(int) @ found.better.astype(int) > 0) & ~found.better).any()
    assert found.low.min() == 1


@settings(max_examples=100, deadline=None)
@given(SCORES, st.floats(0.05, 3), st.floats(0.1, 1.0))
def test_more_certainty_only_narrows(scores, error, less):
    wide, narrow = rank_sets(pvalues(scores, error)), rank_sets(pvalues(scores, error * less))
    assert np.all(narrow.low >= wide.low) and np.all(narrow.high <= wide.high)


@settings(max_examples=100, deadline=None)
@given(SCORES, st.floats(0.05, 3), st.integers(0, 10**6))
def test_permuting_cells_permutes_the_sets(scores, error, seed):
    p, order = pvalues(scores, error), np.random.default_rng(seed).permutation(len(scores))
    one, other = rank_sets(p), rank_sets(p[np.ix_(order, order)])
    assert np.array_equal(other.low, one.low[order]) and np.array_equal(other.high, one.high[order])


@pytest.mark.parametrize(
    "truth",
    [np.zeros(15), np.repeat([0.0, 10.0, 20.0], 5), np.repeat([0.0, 6.0], [7, 8]), np.linspace(0, 1, 12)],
    ids=["equal", "three groups", "two groups", "near"],
)
def test_a_false_better_is_in_five_per_cent_of_tables_at_most(truth):
    rng, tables = np.random.default_rng(4), 600
    worse = truth[:, None] <= truth[None, :]
    wrong = sum(
        bool((rank_sets(pvalues(truth + rng.standard_normal(truth.size))).better & worse).any()) for _ in range(tables)
    )
    assert wrong <= 44  # 5 % with 99 % binomial slack


def test_step_down_finds_more_than_one_step_would():
    rng, truth = np.random.default_rng(5), np.repeat([0.0, 20.0, 40.0], 5) + np.tile(np.linspace(0, 4, 5), 3)
    more = 0
    for _ in range(100):
        p = pvalues(truth + rng.standard_normal(truth.size))
        more += rank_sets(p).better.sum() - (p <= 0.05 / (15 * 14)).sum()
    assert more > 100
