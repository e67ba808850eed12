from __future__ import annotations

import numpy as np
import pytest

from harness.evaluate.rowwise import correctness, max_abs_diff, misfit, top1

LOGITS = np.array([[0.1, 2.0, -1.0], [3.0, 1.0, 0.0]])


@pytest.mark.parametrize(
    ("predictions", "classes"),
    [
        (LOGITS, [1, 0]),
        (LOGITS[:, None, :], [1, 0]),  # [N, 1, C]
        (LOGITS[:, :, None, None], [1, 0]),  # [N, C, 1, 1], as convolutions leave them
        ((LOGITS * 10).astype(np.int8), [1, 0]),
        (np.array([0.2, 0.7]), [0, 1]),  # probabilities
        (np.array([[0.2], [0.7]]), [0, 1]),
        (np.array([-0.2, 0.3, 4.0]), [0, 1, 1]),  # logits: one is outside [0, 1]
        (np.array([2, 0], np.int64), [2, 0]),  # class numbers
        (np.array([[2], [0]], np.int64), [2, 0]),
        (np.array([True, False]), [1, 0]),
    ],
)
def test_top1_of_every_shape_a_classifier_gives(predictions, classes):
    found = top1(predictions)
    assert found.dtype == np.int64
    assert found.tolist() == classes


def test_a_tie_goes_to_the_first_class_and_a_half_is_no_hit():
    assert top1(np.array([[1.0, 1.0]])).tolist() == [0]
    assert top1(np.array([0.5, 1.0])).tolist() == [0, 1]


def test_correctness_by_row_whatever_the_shape_of_labels():
    assert correctness(LOGITS, np.array([1, 1])).tolist() == [True, False]
    assert correctness(LOGITS, np.array([[1], [1]])).tolist() == [True, False]
    assert correctness(LOGITS, np.array([1.0, 0.0])).tolist() == [True, True]


def test_differences_in_literal_numbers():
    assert max_abs_diff(np.float32([[1, 2]]), np.float32([[1.5, 1]])) == 1.0
    assert max_abs_diff(np.uint8([[0]]), np.uint8([[255]])) == 255.0  # no wrap-around
    assert max_abs_diff(np.zeros((2, 2)), np.zeros(4)) is None
    assert max_abs_diff(np.array(["a"]), np.array(["a"])) is None


@pytest.mark.parametrize(
    ("predictions", "labels", "task", "fits"),
    [
        (np.zeros((5, 3)), np.zeros(5), "classification", True),
        (np.zeros((5, 3, 1, 1)), np.zeros((5, 1)), "classification", True),
        (np.zeros((4, 3)), np.zeros(5), "classification", False),  # rows were lost
        (np.zeros((5, 7, 3)), np.zeros(5), "classification", False),  # a class per token, say
        (np.zeros(()), np.zeros(5), "classification", False),
        (np.zeros((5, 0)), np.zeros(5), "classification", False),
        (np.zeros((5, 3)), np.array(["a"] * 5), "classification", False),
        (np.zeros((5, 1)), np.zeros(5), "regression", True),
        (np.zeros((5, 2)), np.zeros((5, 2)), "regression", True),
        (np.zeros((5, 3)), np.zeros(5), "regression", False),
    ],
)
def test_what_cannot_be_judged_row_by_row_is_said(predictions, labels, task, fits):
    assert (misfit(predictions, labels, task) is None) == fits
