"""Percentiles of raw samples, each with a distribution-free interval. Needs numpy only.

The samples of one trial are not independent of each other's process: an interval from here says how well one
trial knows its own percentile. `across` says what several trials know together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.stats.interval import Interval
from harness.stats.order import Ranks, fewest_samples, quantile_index, quantile_ranks
from harness.stats.selection import at_ranks, mean_of

SORT_UP_TO = 2_000_000  # samples; above this, select instead of sorting a copy

FloatOrIntArray: TypeAlias = npt.NDArray[np.float64] | npt.NDArray[np.int64]


class Quantile(NamedTuple):
    """A percentile in the samples' unit with its interval; `-inf` or `inf` where n cannot bound it."""

    value: float
    low: float
    high: float


def quantile(ordered: FloatOrIntArray, p: float) -> float:
    """Give the p-quantile of ascending samples as one of them: ordered[min(int(n*p), n-1)].

    Raises `ValueError` when there are no samples.
    """
    _check_some(ordered)
    return float(ordered[quantile_index(ordered.size, p)])


def quantile_interval(ordered: FloatOrIntArray, p: float, confidence: float = 0.95) -> Interval:
    """Bound the p-quantile of ascending samples by two of them, with at least `confidence`, tails equal.

    An end is infinite when n is too small (see `samples_needed`). Method: `order.quantile_ranks`.
    Raises `ValueError` when there are no samples, or for shares outside (0, 1).
    """
    _check_some(ordered)
    ranks = quantile_ranks(ordered.size, p, confidence)
    low = -math.inf if ranks.low is None else float(ordered[ranks.low - 1])
    high = math.inf if ranks.high is None else float(ordered[ranks.high - 1])
    return Interval(low, high)


def samples_needed(p: float, confidence: float = 0.95) -> int:
    """Give the fewest samples with a finite two-sided interval of the p-quantile.

    36 for p90, 368 for p99 and 3,688 for p99.9, at 95 %.
    """
    return fewest_samples(p, confidence)


def summarise(samples: npt.NDArray[Any], ps: Sequence[float], confidence: float = 0.95) -> dict[float, Quantile]:
    """Give percentiles with intervals of unsorted samples, exactly, in bounded memory.

    `samples` is one-dimensional, may be a memory-mapped `.npy`, and is never changed. More than two million
    integers are not sorted but selected from, a chunk at a time (`selection.at_ranks`).
    Raises `ValueError` when there are no samples.
    """
    _check_some(samples)
    ranks = {p: quantile_ranks(samples.size, p, confidence) for p in ps}
    values = _at(samples, sorted({index for p in ps for index in _indices(samples.size, p, ranks[p])}))
    return {p: _quantile(values, samples.size, p, ranks[p]) for p in ps}


def mean(samples: npt.NDArray[Any]) -> float:
    """Give the arithmetic mean in the samples' unit, a chunk at a time; `ValueError` when there are none."""
    _check_some(samples)
    return mean_of(samples)


def _check_some(samples: npt.NDArray[Any]) -> None:
    if samples.size == 0:
        raise ValueError("no samples: a quantile or mean of nothing is not a number")


def _indices(n: int, p: float, ranks: Ranks) -> list[int]:
    return [quantile_index(n, p), *(rank - 1 for rank in ranks if rank is not None)]


def _at(samples: npt.NDArray[Any], indices: Sequence[int]) -> dict[int, float]:
    """Give the samples at 0-based places of the sorted order."""
    if samples.size > SORT_UP_TO and np.issubdtype(samples.dtype, np.signedinteger):
        return {index: float(value) for index, value in at_ranks(samples, indices).items()}
    ordered = np.sort(samples)
    return {index: float(ordered[index]) for index in indices}


def _quantile(values: dict[int, float], n: int, p: float, ranks: Ranks) -> Quantile:
    return Quantile(
        value=values[quantile_index(n, p)],
        low=-math.inf if ranks.low is None else values[ranks.low - 1],
        high=math.inf if ranks.high is None else values[ranks.high - 1],
    )
