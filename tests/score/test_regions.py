"""Where each row wins, against the scores themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness.score.regions import regions

unit = st.floats(0, 1, width=16)


def tables(objectives: int):
    shape = st.tuples(st.integers(1, 6), st.just(objectives))
    return shape.flatmap(lambda found: arrays.arrays(np.float64, found, elements=unit))


def measure(corners: np.ndarray) -> float:
    """Length of a segment, area of a polygon, in units of the whole."""
    if corners.shape[1] == 2:
        return float(np.ptp(corners[:, 0]))
    x, y = corners[:, 0], corners[:, 1]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


@given(st.one_of(tables(2), tables(3)), st.data())
def test_inside_its_region_a_row_has_the_best_score(utilities, data):
    rest = np.array(data.draw(st.lists(unit, min_size=len(utilities), max_size=len(utilities))))
    for row, corners in regions(utilities, rest).items():
        shares = np.array(data.draw(st.lists(st.floats(0.01, 1), min_size=len(corners), max_size=len(corners))))
        inside = shares @ corners / shares.sum()
        scores = utilities @ inside + rest
        assert scores[row] >= scores.max() - 1e-9
        assert inside.sum() == pytest.approx(1.0) and (inside >= -1e-12).all()


@given(st.one_of(tables(2), tables(3)))
def test_regions_cover_all_weights(utilities):
    found = regions(utilities, np.zeros(len(utilities)))
    assert sum(map(measure, found.values())) >= 1.0 - 1e-6


def test_two_rows_share_a_segment_where_their_scores_meet():
    found = regions(np.array([[1.0, 0.0], [0.0, 0.5]]), np.zeros(2))
    assert found[0].tolist() == [[1.0, 0.0], pytest.approx([1 / 3, 2 / 3])]
    assert sorted(found[1].tolist()) == [[0.0, 1.0], pytest.approx([1 / 3, 2 / 3])]


def test_a_dominated_row_wins_nowhere_unless_its_rest_is_ahead():
    utilities = np.array([[1.0, 1.0, 1.0], [0.5, 0.5, 0.5]])
    assert list(regions(utilities, np.zeros(2))) == [0]
    assert list(regions(utilities, np.array([0.0, 0.6]))) == [1]
