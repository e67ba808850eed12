"""A textbook case: A is best in one objective, B in the other, C is the compromise with 0.6 in both.

Under weight w on the first, A scores w, B 1-w, C 0.6: A is first for w > 0.6, B for w < 0.4, C between.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.score.rank import rank
from harness.score.weights import central_weights, random_weights, rank_fractions, rank_order_centroid, weighting_of
from harness.spec.policy import Objective, Policy

DRAWS = 40_000
SCALES = {
    "accuracy": Objective(weight=1, target=1.0, limit=0.0),
    "output_agreement": Objective(weight=1, target=1.0, limit=0.0),
}
CASE = {"A": (1.0, 0.0), "B": (0.0, 1.0), "C": (0.6, 0.6)}


@pytest.fixture
def decide(make):
    entries = [make.entry(name, exact=dict(zip(SCALES, both, strict=True))) for name, both in CASE.items()]

    def run(policy):
        return {row.candidate: row for row in rank(entries, policy, suite="s", draws=DRAWS).rows}

    return run


def test_first_ranks_and_central_weights(decide):
    rows = decide(Policy(objectives=SCALES))
    first = {name: row.acceptability[0] for name, row in rows.items()}
    assert first == pytest.approx({"A": 0.4, "B": 0.4, "C": 0.2}, abs=0.01)
    assert rows["A"].central_weights["accuracy"] == pytest.approx(0.8, abs=0.01)
    assert rows["C"].central_weights["accuracy"] == pytest.approx(0.5, abs=0.01)
    assert rows["C"].acceptability[2] == 0.0


def test_with_an_order_only_ordered_weights_count(decide):
    """w is then uniform on [0.5, 1]: A is first in 4 of 5, B never."""
    scales = {key: Objective(target=1.0, limit=0.0) for key in SCALES}
    rows = decide(Policy(objectives=scales, order=("accuracy", "output_agreement")))
    assert rows["A"].acceptability[0] == pytest.approx(0.8, abs=0.01)
    assert rows["B"].acceptability[0] == 0.0
    assert rows["B"].central_weights is None
    assert rows["A"].score == pytest.approx(0.75)


def test_a_single_objective_leaves_rank_frequencies(make, fastest):
    entries = [make.entry(name, {"latency_p50_ms": ms}) for name, ms in (("a", [1, 1.2, 1.4]), ("b", [1.3, 1, 1.2]))]
    for row in rank(entries, fastest, suite="s").rows:
        assert row.acceptability[0] == pytest.approx(row.p_best)


def test_rank_order_centroid_weights():
    assert rank_order_centroid(3) == pytest.approx([11 / 18, 5 / 18, 2 / 18])
    assert rank_order_centroid(0).size == 0


def test_random_weights_are_uniform_on_the_simplex():
    weights = random_weights(weighting_of(Policy(objectives=SCALES), SCALES), DRAWS, np.random.default_rng(1))
    assert weights.sum(axis=1) == pytest.approx(1.0)
    assert np.quantile(weights[:, 0], [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.01)


def test_exact_ties_share_their_ranks():
    fractions = rank_fractions(np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 2.0]]))
    assert fractions.ranks.tolist() == [[0.25, 0.5, 0.25], [0.25, 0.5, 0.25], [0.5, 0.0, 0.5]]
    assert fractions.first.tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]


def test_a_row_that_is_never_first_has_no_central_weights():
    assert np.isnan(central_weights(np.array([[1.0, 0.0]]), np.array([[0.3, 0.7]]))[1]).all()


@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=6))
def test_fractions_sum_to_one_by_row_and_by_rank(scores):
    ranks = rank_fractions(np.array(scores, dtype=float)).ranks
    assert ranks.sum(axis=0) == pytest.approx(1.0)
    assert ranks.sum(axis=1) == pytest.approx(1.0)
    assert ((ranks >= 0) & (ranks <= 1 + 1e-12)).all()
