"""When to end warm-up. Needs numpy only, because the measuring child uses it."""

from collections.abc import Sequence

import numpy as np

from harness.spec.arrays import Array

TOLERANCE = 0.02


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
