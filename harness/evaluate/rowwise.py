"""Quality of predictions: one score per dataset row and metric, so that rows of the ranking are compared in pairs.

Register a `RowMetric` in `harness.metrics` under its key to add one.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import ndtri

from harness.spec import plugins
from harness.spec.arrays import Array, Booleans, Floats, Integers
from harness.spec.metrics import CATALOGUE, Metric

Transform = Literal["mean", "root"]


class RowMetric(NamedTuple):
    """A metric that is the mean of one score per row, or the square root of that mean ("root").

    `scores` takes predictions and truth ([rows, …] each) and returns [rows]; `against` says what truth is: the
    dataset's labels, the outputs of the suite's reference, or those of the same candidate in fp32.
    """

    metric: Metric
    tasks: tuple[str, ...]
    scores: Callable[[Array, Array], Array]
    against: Literal["labels", "reference", "fp32"] = "labels"
    transform: Transform = "mean"


class Summary(NamedTuple):
    """A metric over rows with its 95 % interval; `n` counts rows."""

    value: float
    low: float
    high: float
    n: int


def metrics(task: str) -> dict[str, RowMetric]:
    """Return the registered row-wise metrics of a task by key; a plug-in that cannot be imported is left out."""
    found: dict[str, RowMetric] = {}
    for name in plugins.names("metrics"):
        try:
            metric = plugins.load("metrics", name)
        except ImportError:
            continue
        if isinstance(metric, RowMetric) and task in metric.tasks:
            found[name] = metric
    return found


def summarise(scores: Floats, weights: Array | None, transform: Transform, confidence: float = 0.95) -> Summary:
    """Return the weighted mean of row scores with its interval: Wilson's (1927) for 0 and 1, else the normal one.

    With weights, n in the interval is Kish's effective sample size, (Σw)² / Σw².
    """
    weight = np.ones(len(scores)) if weights is None else np.asarray(weights, dtype=np.float64)
    mean = float(np.average(scores, weights=weight))
    n = float(weight.sum() ** 2 / (weight**2).sum())
    z = float(ndtri(0.5 + confidence / 2))
    if transform == "mean" and bool(np.isin(scores, (0.0, 1.0)).all()):
        low, high = _wilson(mean, n, z)
    else:
        variance = float(np.average((scores - mean) ** 2, weights=weight)) / max(n - 1.0, 1.0)
        low, high = mean - z * math.sqrt(variance), mean + z * math.sqrt(variance)
    if transform == "root":
        mean, low, high = (math.sqrt(max(each, 0.0)) for each in (mean, low, high))
    return Summary(mean, low, high, len(scores))


def difference(
    one: Floats, two: Floats, weights: Array | None, transform: Transform, confidence: float = 0.95
) -> Summary:
    """Return the metric of `one` less that of `two`, scores of the same rows, with its interval from pairs of rows.

    For 0 and 1 it is that of Bonett & Price (2012, J. Educ. Behav. Stat. 37): one row is added to those where only the
    one scores, and one to those where only the other does, so that no finite number of equal rows is certain. Else it
    is the normal one of the rows' influences. With weights, n in the interval is Kish's effective sample size.
    """
    weight = np.ones(len(one)) if weights is None else np.asarray(weights, dtype=np.float64)
    n = float(weight.sum() ** 2 / (weight**2).sum())
    z = float(ndtri(0.5 + confidence / 2))
    (value, moved), (other, less) = (_influences(scores, weight, transform) for scores in (one, two))
    value -= other
    if transform == "mean" and bool(np.isin([one, two], (0.0, 1.0)).all()):
        gained, lost = (float(np.average(each, weights=weight)) for each in (one > two, one < two))
        low, high = _bonett_price(gained, lost, n, z)
    else:
        half = z * math.sqrt(float(np.average((moved - less) ** 2, weights=weight)) / max(n - 1.0, 1.0))
        low, high = value - half, value + half
    return Summary(value, min(low, value), max(high, value), len(one))


def _influences(scores: Floats, weight: Floats, transform: Transform) -> tuple[float, Floats]:
    """Return the metric of row scores, and how far each row moves it (the delta method, for a root)."""
    mean = float(np.average(scores, weights=weight))
    if transform == "mean":
        return mean, scores - mean
    root = math.sqrt(max(mean, 0.0))
    return root, (scores - mean) / (2 * root) if root > 0 else np.zeros(len(scores))


def _bonett_price(gained: float, lost: float, n: float, z: float) -> tuple[float, float]:
    more, less = ((n * share + 1) / (n + 2) for share in (gained, lost))
    half = z * math.sqrt(max(more + less - (more - less) ** 2, 0.0) / (n + 2))
    return max(-1.0, more - less - half), min(1.0, more - less + half)


def _wilson(p: float, n: float, z: float) -> tuple[float, float]:
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def top1(predictions: Array) -> Integers:
    """Return the predicted class per row; -1, which is no class, where a score is NaN.

    Predictions are [rows, classes] scores; [rows] or [rows, 1] of one score (probability, else logit); or [rows] of
    class numbers. Further dimensions of size 1 do not matter.
    """
    scores = predictions.reshape(len(predictions), -1)
    flat, known = scores[:, 0], ~np.isnan(scores).any(axis=1)
    if scores.shape[1] > 1:
        found = scores.argmax(axis=1)
    elif flat.dtype.kind in "iub":
        found = flat
    else:
        probabilities = bool(np.all((flat[known] >= 0) & (flat[known] <= 1)))
        found = flat > (0.5 if probabilities else 0.0)
    return np.where(known, found, -1).astype(np.int64)


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


def correctness(predictions: Array, labels: Array) -> Booleans:
    """Return, per row, whether the top-1 class is the label."""
    return np.asarray(top1(predictions) == labels.reshape(len(labels)), dtype=np.bool_)


def max_abs_diff(outputs: Array, reference: Array) -> float | None:
    """Return the largest absolute difference; None where the shapes differ, or where they are no numbers."""
    if outputs.shape != reference.shape or not {outputs.dtype.kind, reference.dtype.kind} <= set("fiub"):
        return None
    return float(np.max(np.abs(outputs.astype(np.float64) - reference.astype(np.float64))))


def _agreement(predictions: Array, reference: Array) -> Array:
    return np.asarray(top1(predictions) == top1(reference))


def _squared_error(predictions: Array, labels: Array) -> Array:
    difference = predictions.reshape(labels.shape).astype(np.float64) - labels
    return np.asarray((difference**2).reshape(len(labels), -1).mean(axis=1))


ACCURACY = RowMetric(CATALOGUE["accuracy"], ("classification",), correctness)
RMSE = RowMetric(CATALOGUE["rmse"], ("regression",), _squared_error, transform="root")
FP32_AGREEMENT = RowMetric(CATALOGUE["fp32_agreement"], ("classification",), _agreement, against="fp32")
OUTPUT_AGREEMENT = RowMetric(CATALOGUE["output_agreement"], ("classification",), _agreement, against="reference")
