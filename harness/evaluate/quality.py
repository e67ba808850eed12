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
            or [rows] of class numbers.
    """
    if predictions.ndim > 1 and predictions.shape[-1] > 1:
        scores = predictions.reshape(len(predictions), -1)
        return np.asarray(scores.argmax(axis=1), dtype=np.int64)
    flat = predictions.reshape(len(predictions))
    if flat.dtype.kind in "iub":
        return np.asarray(flat, dtype=np.int64)
    threshold = 0.5 if flat.min() >= 0 and flat.max() <= 1 else 0.0
    return np.asarray(flat > threshold, dtype=np.int64)


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
    """Return the largest absolute difference; None where the shapes differ."""
    if outputs.shape != reference.shape:
        return None
    return float(np.max(np.abs(outputs.astype(np.float64) - reference.astype(np.float64))))
