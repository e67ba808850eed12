"""Order statistics: which ranks bound a quantile, from exact binomial tails. Needs numpy only."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

TAIL_DEVIATIONS = 12.0
TAIL_TERMS = 60


class Ranks(NamedTuple):
    """1-based ranks of the order statistics that bound a quantile; `None` where no rank can."""

    low: int | None
    high: int | None


def check_share(p: float, name: str) -> None:
    """Raise `ValueError` unless 0 < p < 1."""
    if not 0.0 < p < 1.0:
        raise ValueError(f"{name} must lie strictly between 0 and 1, not {p!r}")


def quantile_index(n: int, p: float) -> int:
    """Give the 0-based index of the p-quantile among n ordered samples: min(int(n*p), n-1)."""
    return min(int(n * p), n - 1)


def quantile_ranks(n: int, p: float, confidence: float) -> Ranks:
    """Give the ranks whose samples bound the p-quantile with at least this confidence, tails equal.

    With B ~ Binomial(n, p) samples at or below the true quantile, rank l is above it with probability
    P(B < l) and rank u is below it with P(B >= u); each is held to (1 - confidence) / 2 at most
    (David & Nagaraja, Order Statistics, 3rd ed., section 7.1). No assumption on the distribution.
    """
    check_share(p, "p")
    check_share(confidence, "confidence")
    tail = (1.0 - confidence) / 2.0
    first, weights = _binomial(n, p)
    at_most = np.cumsum(weights)  # at_most[i] = P(B <= first + i)
    at_least = np.cumsum(weights[::-1])[::-1]  # at_least[i] = P(B >= first + i)
    low = first + int(np.searchsorted(at_most, tail, side="right"))
    high = first + int(np.count_nonzero(at_least > tail))
    return Ranks(low if low >= 1 else None, high if high <= n else None)


def fewest_samples(p: float, confidence: float) -> int:
    """Give the fewest samples for which both ranks exist: max(p, 1-p)^n <= (1 - confidence) / 2."""
    check_share(p, "p")
    check_share(confidence, "confidence")
    tail, base = math.log((1.0 - confidence) / 2.0), math.log(max(p, 1.0 - p))
    return math.ceil(tail / base)


def _binomial(n: int, p: float) -> tuple[int, npt.NDArray[np.float64]]:
    """Give the Binomial(n, p) weights around the mean and the count that the first one belongs to.

    The window reaches far enough for what it leaves out to be below double precision; weights follow from
    the ratio of neighbours, w(k+1)/w(k) = (n-k)/(k+1) * p/(1-p), and are scaled to sum to one.
    """
    mean, deviation = n * p, math.sqrt(n * p * (1.0 - p))
    reach = TAIL_DEVIATIONS * deviation + TAIL_TERMS
    first, last = max(0, math.floor(mean - reach)), min(n, math.ceil(mean + reach))
    counts = np.arange(first, last, dtype=np.float64)
    steps = np.log(n - counts) - np.log(counts + 1.0) + math.log(p / (1.0 - p))
    logs = np.concatenate(([0.0], np.cumsum(steps)))
    weights = np.exp(logs - logs.max())
    return first, weights / weights.sum()
