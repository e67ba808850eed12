"""When has a trial finished warming up? Needs numpy only, so that the measuring child can ask.

A loop gathers windows of samples and asks `agree` about the latest two; it gives up after a limit of its own
and reports `WarmUp(steady=False, …)`. Nothing is discarded silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

TOLERANCE = 0.02

Window: TypeAlias = npt.NDArray[Any] | Sequence[int] | Sequence[float]


class WarmUp(NamedTuple):
    """Whether a steady state was reached, and how many samples the warm-up used."""

    steady: bool
    samples: int


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


def steady_after(samples: Window, window: int, tolerance: float = TOLERANCE) -> int | None:
    """Give how many samples precede the first of two consecutive whole windows that agree; `None` if none do.

    Raises `ValueError` for a window below one sample.
    """
    if window < 1:
        raise ValueError(f"a window holds at least one sample, not {window}")
    for start in range(0, len(samples) - 2 * window + 1, window):
        middle = start + window
        if agree(samples[start:middle], samples[middle : middle + window], tolerance):
            return start
    return None


def _quartiles(window: Window) -> tuple[float, float, float]:
    low, median, high = np.percentile(window, (25, 50, 75))
    return float(low), float(median), float(high)
