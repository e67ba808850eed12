"""`top2`: the fraction of rows whose label is among the two highest scores (of equal ones, the lower class)."""

from __future__ import annotations

import numpy as np

from harness.evaluate.rowwise import RowMetric
from harness.spec.arrays import Array
from harness.spec.metrics import Metric


def _hits(predictions: Array, labels: Array) -> Array:
    two = np.argsort(-predictions, axis=1, kind="stable")[:, :2]
    return np.asarray((two == labels.reshape(-1, 1)).any(axis=1))


TOP2 = RowMetric(
    Metric("top2", "", "higher", "linear", "cell", "fraction of rows with the label among the two highest scores"),
    ("classification",),
    _hits,
)
