"""When has a trial finished warming up? Needs numpy only, so that the measuring child can ask.

A loop gathers windows of samples and asks `agree` about the latest two; it gives up after a limit of its own
and says so. Nothing is discarded silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

TOLERANCE = 0.02

Window: TypeAlias = npt.NDArray[Any] | Sequence[int] | Sequence[float]


def agree(previous: Window, current: Window, tolerance: float = TOLERANCE) -> bool:
    """Say whether two consecutive windows look alike.

    They do when their medians are within `tolerance`, relative to the earlier one, and their quartile ranges
    overlap. An empty window agrees with nothing.
    """
    if len(previous) == 0 or len(current) == 0:
        return False
    low, median, high = _quartiles(previous)
    next_low, next_median, next_high = _quartiles(current)
    close = abs(next_median - median) <= tolerance * abs(median)
    return close and next_low <= high and low <= next_high


def _quartiles(window: Window) -> tuple[float, float, float]:
    low, median, high = np.percentile(window, (25, 50, 75))
    return float(low), float(median), float(high)
