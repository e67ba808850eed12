"""The difference of a row-wise metric between two rows of the ranking, from the same dataset rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evaluate.rowwise import difference

Z = 1.959963984540054


def paired(both, only_one, only_two, neither):
    """Scores of two rows with so many dataset rows that both score, only the one, only the other, and neither."""
    counts = (both, only_one, only_two, neither)
    return np.repeat([1.0, 1.0, 0.0, 0.0], counts), np.repeat([1.0, 0.0, 1.0, 0.0], counts)


def test_the_interval_in_literal_numbers():
    # (b + 1) / (n + 2) = 12/102 and (c + 1) / (n + 2) = 3/102: Bonett & Price (2012), equation 4
    found = difference(*paired(80, 11, 2, 7), None, "mean")
    half = Z * math.sqrt((15 / 102 - (9 / 102) ** 2) / 102)
    assert (found.value, found.n) == (pytest.approx(0.09), 100)
    assert (found.low, found.high) == (pytest.approx(9 / 102 - half), pytest.approx(9 / 102 + half))


def test_rows_that_agree_everywhere_are_not_certain_to_agree_on_others():
    found = difference(*paired(880, 0, 0, 19), None, "mean")
    assert found.value == 0
    assert found.low == -found.high and found.high == pytest.approx(Z * math.sqrt(2) / 901)


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 5)), min_size=1, max_size=60),
    st.booleans(),
)
def test_the_other_way_round_is_the_negative_and_the_value_is_inside(rows, weighted):
    one, two, weight = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    weights = weight if weighted else None
    there, back = difference(one, two, weights, "mean"), difference(two, one, weights, "mean")
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
    assert -1 <= there.low <= there.value <= there.high <= 1
    assert there.high > there.low


def test_a_weight_counts_as_so_many_rows_in_the_value():
    one, two = paired(10, 2, 0, 0)
    doubled = difference(one, two, np.where(one > two, 2.0, 1.0), "mean")
    assert doubled.value == pytest.approx(4 / 14)


def test_pairing_takes_out_what_both_have_in_common():
    """Errors of two regressors that go up and down together: the interval of the difference is narrow."""
    rng = np.random.default_rng(0)
    one = rng.exponential(size=400) ** 2
    two = one + rng.normal(0.1, 0.01, 400)
    found = difference(one, two, None, "root")
    assert found.value == pytest.approx(math.sqrt(one.mean()) - math.sqrt(two.mean()))
    assert found.high - found.low < 0.05 * abs(found.value) + 0.02
    assert difference(one, one, None, "root")[:3] == (0.0, 0.0, 0.0)


def test_the_interval_covers_the_difference_of_two_classifiers():
    """95 % intervals of 2,000 datasets of 300 rows: 1 % lost, 0.3 % gained."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(2000):
        both, lost, gained, neither = rng.multinomial(300, [0.95, 0.01, 0.003, 0.037])
        found = difference(*paired(both, gained, lost, neither), None, "mean")
        covered += found.low <= -0.007 <= found.high
    assert covered / 2000 >= 0.94
