"""Percentiles of raw samples, each with a distribution-free interval. Needs numpy only.

Samples of one trial are not independent: they share a process. An interval from here is the uncertainty
within one trial. `across` gives the uncertainty over several trials.
"""

import math
import mmap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.spec.arrays import Array, Floats

TAIL_DEVIATIONS = 12.0
TAIL_TERMS = 60
_COPY_SAMPLES = 1 << 22  # copied at once: 32 MiB of int64


class Ranks(NamedTuple):
    """1-based ranks of the order statistics that bound a quantile; `None` where no rank does."""

    low: int | None
    high: int | None


def check_fraction(value: float, name: str) -> None:
    """Raise `ValueError` unless 0 < value < 1."""
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name} must lie strictly between 0 and 1, not {value!r}")


def quantile_index(n: int, p: float) -> int:
    """Return the 0-based index of the p-quantile among n ordered samples: min(int(n*p), n-1)."""
    return min(int(n * p), n - 1)


def quantile_ranks(n: int, p: float, confidence: float) -> Ranks:
    """Return the ranks whose samples bound the p-quantile with at least this confidence, with equal tails.

    Let B ~ Binomial(n, p) be the number of samples at or below the true quantile. The sample of rank l is
    above the quantile with probability P(B < l), that of rank u below it with P(B >= u). Each is at most
    (1 - confidence) / 2 (David & Nagaraja, Order Statistics, 3rd ed., section 7.1). Distribution-free.
    Raises `ValueError` when there are no samples, or for fractions outside (0, 1).
    """
    if n < 1:
        raise ValueError("no samples: a quantile needs at least one")
    check_fraction(p, "p")
    check_fraction(confidence, "confidence")
    tail = (1.0 - confidence) / 2.0
    first, weights = binomial(n, p)
    at_most = np.cumsum(weights)  # at_most[i] = P(B <= first + i)
    at_least = np.cumsum(weights[::-1])[::-1]  # at_least[i] = P(B >= first + i)
    low = first + int(np.searchsorted(at_most, tail, side="right"))
    high = first + int(np.count_nonzero(at_least > tail))
    return Ranks(low if low >= 1 else None, high if high <= n else None)


def binomial(n: int, p: float) -> tuple[int, Floats]:
    """Return Binomial(n, p) probabilities around the mean, and the count that the first one belongs to.

    The probability outside the window is below double precision. Weights follow from the ratio of
    neighbours, w(k+1)/w(k) = (n-k)/(k+1) * p/(1-p), and are scaled to sum to one.
    """
    mean, deviation = n * p, math.sqrt(n * p * (1.0 - p))
    reach = TAIL_DEVIATIONS * deviation + TAIL_TERMS
    first, last = max(0, math.floor(mean - reach)), min(n, math.ceil(mean + reach))
    counts = np.arange(first, last, dtype=np.float64)
    steps = np.log(n - counts) - np.log(counts + 1.0) + math.log(p / (1.0 - p))
    logs = np.concatenate(([0.0], np.cumsum(steps)))
    weights = np.exp(logs - logs.max())
    return first, weights / weights.sum()


class Quantile(NamedTuple):
    """A percentile in the samples' unit with its interval; `-inf` or `inf` where n is too small to bound it."""

    value: float
    low: float
    high: float


def quantile(ordered: Array, p: float, confidence: float = 0.95) -> Quantile:
    """Return the p-quantile of ascending samples, ordered[min(int(n*p), n-1)], and its interval.

    The interval's ends are samples too; its confidence is at least `confidence`, with equal tails
    (`quantile_ranks`, which also gives the errors). An end is infinite when n is too small.
    """
    return _at(ordered, p, quantile_ranks(ordered.size, p, confidence))


def samples_needed(p: float, confidence: float = 0.95) -> int:
    """Return the fewest samples with a finite two-sided interval of the p-quantile.

    The condition is max(p, 1-p)^n <= (1 - confidence) / 2. At 95 %: 36 for p90, 368 for p99, 3,688 for p99.9.
    """
    check_fraction(p, "p")
    check_fraction(confidence, "confidence")
    return math.ceil(math.log((1.0 - confidence) / 2.0) / math.log(max(p, 1.0 - p)))


def summarise(samples: Array, ps: Sequence[float], confidence: float = 0.95) -> dict[float, Quantile]:
    """Return exact percentiles with intervals of unsorted samples, as `quantile` does for sorted ones.

    `samples` is one-dimensional, may be a memory-mapped file, and is not changed. Memory: one copy of the samples.
    """
    n = samples.size
    ranks = {p: quantile_ranks(n, p, confidence) for p in ps}
    bounds = {rank - 1 for pair in ranks.values() for rank in pair if rank is not None}
    ordered = _copy(samples)
    ordered.partition(sorted(bounds | {quantile_index(n, p) for p in ps}))
    return {p: _at(ordered, p, ranks[p]) for p in ps}


def _at(ordered: Array, p: float, ranks: Ranks) -> Quantile:
    """Read a percentile and its bounds from samples that are in order at least at these ranks."""
    low = -math.inf if ranks.low is None else float(ordered[ranks.low - 1])
    high = math.inf if ranks.high is None else float(ordered[ranks.high - 1])
    return Quantile(float(ordered[quantile_index(ordered.size, p)]), low, high)


def _copy(samples: Array) -> Array:
    """Copy samples; pages of a read-only mapped file are released, so that only the copy stays in memory."""
    copy = np.empty(samples.shape, samples.dtype)
    mapping: object = samples.base if isinstance(samples, np.memmap) and samples.mode == "r" else None
    for start in range(0, samples.size, _COPY_SAMPLES):
        copy[start : start + _COPY_SAMPLES] = samples[start : start + _COPY_SAMPLES]
        if isinstance(mapping, mmap.mmap):
            mapping.madvise(mmap.MADV_DONTNEED)
    return copy
