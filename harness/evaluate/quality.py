"""Accuracy, error and agreement from predictions and labels. Pure numpy."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[Any]


class Share(NamedTuple):
    """A share of rows with its Wilson interval."""

    value: float
    low: float
    high: float
    n: int


def top1(predictions: Array) -> NDArray[np.int64]:
    """Return the predicted class per row.

    Args:
        predictions: [rows, classes] scores; [rows] or [rows, 1] of one score (probability, else logit);
            or [rows] of class numbers. Further dimensions of size 1 do not matter.
    """
    scores = predictions.reshape(len(predictions), -1)
    if scores.shape[1] > 1:
        return np.asarray(scores.argmax(axis=1), dtype=np.int64)
    flat = scores[:, 0]
    if flat.dtype.kind in "iub":
        return np.asarray(flat, dtype=np.int64)
    threshold = 0.5 if flat.min() >= 0 and flat.max() <= 1 else 0.0
    return np.asarray(flat > threshold, dtype=np.int64)


def misfit(predictions: Array, like: Array, task: str) -> str | None:
    """Say why predictions cannot be judged row by row against labels (or other predictions); None if they can.

    A classifier gives one score per class (or one in all) for each row; its labels are one number per row.
    A regressor gives as many numbers as its labels have.
    """
    shapes = f"predictions {list(predictions.shape)} do not fit {list(like.shape)}"
    if predictions.ndim == 0 or len(predictions) != len(like) or not predictions.size:
        return shapes
    if predictions.dtype.kind not in "fiub" or like.dtype.kind not in "fiub":
        return f"{predictions.dtype} cannot be compared with {like.dtype}"
    if task == "classification":
        return None if sum(size > 1 for size in predictions.shape[1:]) <= 1 else shapes
    return None if predictions.size == like.size else shapes


def correctness(predictions: Array, labels: Array) -> NDArray[np.bool_]:
    """Return, per row, whether the top-1 class is the label."""
    return np.asarray(top1(predictions) == labels.reshape(len(labels)), dtype=np.bool_)


def share(hits: NDArray[np.bool_], confidence: float = 0.95) -> Share:
    """Return the share of hits with its Wilson score interval (Wilson 1927)."""
    n = len(hits)
    p = float(hits.mean())
    z = float(ndtri(0.5 + confidence / 2))
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Share(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), n)


def rmse(predictions: Array, labels: Array) -> float:
    """Return the root mean squared error, in the label's unit."""
    difference = predictions.reshape(labels.shape).astype(np.float64) - labels
    return float(np.sqrt(np.mean(difference**2)))


def max_abs_diff(outputs: Array, reference: Array) -> float | None:
    """Return the largest absolute difference; None where the shapes differ, or where they are no numbers."""
    if outputs.shape != reference.shape or not {outputs.dtype.kind, reference.dtype.kind} <= set("fiub"):
        return None
    return float(np.max(np.abs(outputs.astype(np.float64) - reference.astype(np.float64))))
