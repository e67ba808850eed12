"""What is known of values that a simulation drew, again and again, from few measurements of some processes. Pure.

A simulation can draw as many values as it likes; what is known is what was measured. Values are kept by what they were
drawn from: a stratum (warm or cold times), and in it the process that was measured. The variance of a mean is that
between the processes of each stratum, and no less than that of as many independent values as were measured; the strata
add up (Cochran, Sampling Techniques, 3rd ed., sections 5.3 and 9A). A percentile's interval is Woodruff's, as in
`pooled`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import special

from harness.spec.arrays import Floats, Indices
from harness.stats.quantiles import check_fraction, quantile_index, quantile_ranks


class Stratum(NamedTuple):
    """Values [n] that were drawn from `measured` measurements, and the number of the process of each, from 0."""

    values: Floats
    process: Indices
    measured: int


class Mean(NamedTuple):
    """A mean with its standard error (infinite: not known) and the degrees of freedom behind that."""

    value: float
    error: float
    df: float

    def ends(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return Student's interval."""
        half = _student(self.df, confidence) * self.error
        return self.value - half, self.value + half


class Quantile(NamedTuple):
    """A percentile, its interval (infinite: unbounded), and how many independent values would know it as well."""

    value: float
    low: float
    high: float
    effective_n: float


def mean(strata: tuple[Stratum, ...]) -> Mean:
    """Return the mean of all values; its error is not known where a stratum has one process, whose values differ."""
    total = sum(len(each.values) for each in strata)
    value = math.fsum(float(each.values.sum()) for each in strata) / total
    parts = [(variance * (n / total) ** 2, df) for variance, n, df in _variances(strata)]
    variance = math.fsum(part for part, _ in parts)
    spent = math.fsum(part**2 / df for part, df in parts if part)
    return Mean(value, math.sqrt(variance), variance**2 / spent if 0.0 < spent < math.inf else math.inf)


def quantile(strata: tuple[Stratum, ...], p: float, confidence: float = 0.95) -> Quantile:
    """Return the p-quantile of all values. Raises ValueError for a fraction outside (0, 1)."""
    check_fraction(p, "p")
    ordered = np.sort(np.concatenate([each.values for each in strata]))
    value = float(ordered[quantile_index(ordered.size, p)])
    found = mean(tuple(each._replace(values=_at_most(each.values, value, ordered, p)) for each in strata))
    measured = float(sum(each.measured for each in strata))
    n = measured if found.error == 0.0 else _worth(found, p, confidence)
    n = min(n, measured)
    return Quantile(value, *_ends(ordered, n, p, confidence), n)


def _variances(strata: tuple[Stratum, ...]) -> Iterator[tuple[float, int, float]]:
    """Yield the variance of each stratum's mean, its number of values, and the degrees of freedom of the variance."""
    for values, process, measured in strata:
        if not len(values) or not np.ptp(values):
            continue
        sizes = np.bincount(process).astype(np.float64)
        sums = np.bincount(process, weights=values)
        k = int(np.count_nonzero(sizes))
        if k < 2:
            yield math.inf, len(values), 1.0
            continue
        residuals = sums - sizes * float(values.mean())
        between = k / (k - 1.0) * float(residuals @ residuals) / len(values) ** 2
        yield max(between, float(values.var()) / measured), len(values), k - 1.0


def _at_most(values: Floats, value: float, ordered: Floats, p: float) -> Floats:
    """Return 1 for each value below the quantile, 0 above; for those equal to it the part that gives p in all."""
    low, high = int(np.searchsorted(ordered, value, "left")), int(np.searchsorted(ordered, value, "right"))
    part = min(1.0, max(0.0, (p * ordered.size - low) / (high - low)))
    return np.where(values < value, 1.0, np.where(values == value, part, 0.0))


def _worth(fraction: Mean, p: float, confidence: float) -> float:
    """Return how many independent values would know the fraction at or below the estimate as well."""
    if math.isinf(fraction.error):
        return 0.0
    width = _student(fraction.df, confidence) / float(special.ndtri((1.0 + confidence) / 2.0)) * fraction.error
    return p * (1.0 - p) / width**2


def _student(df: float, confidence: float) -> float:
    tail = (1.0 + confidence) / 2.0
    return float(special.ndtri(tail) if math.isinf(df) else special.stdtrit(df, tail))


def _ends(ordered: Floats, n: float, p: float, confidence: float) -> tuple[float, float]:
    """Return the order statistics at the fractions that an exact interval of size `n` gives."""
    whole = math.floor(n)
    if whole < 1:
        return -math.inf, math.inf
    ranks, scale = quantile_ranks(whole, p, confidence), ordered.size / whole
    low = -math.inf if ranks.low is None else float(ordered[max(0, math.floor((ranks.low - 1) * scale))])
    high = math.inf if ranks.high is None else float(ordered[min(ordered.size, math.ceil(ranks.high * scale)) - 1])
    return low, high
