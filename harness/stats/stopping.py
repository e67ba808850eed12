"""When to end warm-up and when to end sampling. Needs numpy only, because the measuring child uses it."""

import math
from collections.abc import Sequence

import numpy as np

from harness.spec.arrays import Array
from harness.stats.quantiles import quantile

TOLERANCE = 0.02
MEDIAN_PRECISION = 0.02
P99_PRECISION = 0.05


def agree(previous: Array | Sequence[float], current: Array | Sequence[float], tolerance: float = TOLERANCE) -> bool:
    """Return whether two consecutive windows of samples agree: warm-up has ended.

    Their medians differ by at most `tolerance`, relative to the earlier one, and their interquartile ranges
    overlap. False if a window is empty.
    """
    if len(previous) == 0 or len(current) == 0:
        return False
    low, median, high = np.percentile(previous, (25, 50, 75))
    next_low, next_median, next_high = np.percentile(current, (25, 50, 75))
    close = abs(next_median - median) <= tolerance * abs(median)
    return bool(close and next_low <= high and low <= next_high)


def precise_enough(ordered: Array, p: float, relative_half_width: float) -> bool:
    """Return whether half the 95 % interval of the p-quantile is within this fraction of its value.

    `ordered` is ascending. False while an end is unbounded, and for no samples. The rule depends on the
    precision of the quantile, not on the spread of the samples.
    """
    if ordered.size == 0:
        return False
    value, low, high = quantile(ordered, p)
    return math.isfinite(high - low) and (high - low) / 2.0 <= relative_half_width * abs(value)
