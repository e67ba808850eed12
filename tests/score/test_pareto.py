from __future__ import annotations

import numpy as np

from harness.score.contest import dominators


def front(gains):
    return (~dominators(np.array(gains, dtype=float)).any(axis=0)).tolist()


def test_the_front_of_a_plain_case():
    assert front([[3, 1], [1, 3], [2, 2], [1, 1], [2, 1]]) == [True, True, True, False, False]


def test_equal_rows_do_not_dominate_each_other():
    assert front([[1, 1], [1, 1]]) == [True, True]


def test_who_dominates_whom():
    assert dominators(np.array([[2.0, 2.0], [2.0, 1.0]])).tolist() == [[False, True], [False, False]]


def test_a_value_that_is_not_known_is_worse_than_any():
    assert front([[1, -np.inf], [1, -1e9]]) == [False, True]


def test_without_objectives_all_are_on_the_front():
    assert front(np.zeros((3, 0))) == [True] * 3
