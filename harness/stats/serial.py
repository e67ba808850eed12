"""What requests in a row are worth: in a queue those that wait wait together, so that they are not independent.

The design effect (Kish 1965) is the variance of the share of requests above a percentile over that of independent ones.
It follows from the autocorrelation of "is above", by the initial monotone sequence (Geyer 1992, Statistical Science 7,
3.3). That needs no model of the queue: several servers, batches, and slow spells of the host are in it. Simulated
(n = 3,000,000), it is 1.7 (M/D/1) to 2.2 (lognormal service, σ 0.5) times 1 / (1 - utilisation)² at p99, from a
utilisation of 0.8 on, and 1.3 to 1.7 times at p90.

With it, 95 % intervals of p50, p90 and p99 (`pooled`) cover in 93 to 100 % of 150 to 300 runs each of 3 to 5 trials,
from an empty queue, with 1,000 to 30,000 requests a trial, at utilisations of 0.5, 0.8 and 0.9; without it in 65 to
99 %. Both ends of p99 are bounded in 94 to 100 % of runs as long as planned up to 0.8, in 1 to 58 % of these at 0.9.
"""

from collections.abc import Sequence

import numpy as np

from harness.spec.arrays import Array, Floats
from harness.stats.quantiles import quantile_index

BODY = 0.9
"""A tail's requests are worth no more than those above p90: of the tail's own clusters too few may have been seen."""
_POINTS = 1 << 14
"""More requests of a trial than this are added up in blocks, whose sum varies the same."""


def design_effect(ordered: Array, trials: Sequence[Array], p: float) -> float:
    """Return how many requests are worth one independent one: at least 1.

    `trials` have theirs in the order they were due, `ordered` has all of them in ascending order.
    """
    levels = {quantile_index(ordered.size, level) for level in (p, min(p, BODY))}
    return max(_effect([_side(trial, float(ordered[place])) for trial in trials if trial.size]) for place in levels)


def _side(trial: Array, value: float) -> Floats:
    """Return 1 for requests below the value, 0 for those above it, and a half for those equal to it."""
    return ((trial < value).astype(np.float64) + (trial <= value)) / 2.0


def _effect(series: Sequence[Floats]) -> float:
    """Return the variance of the sum of all values over what it were if they were independent.

    From deviations from each series' own mean: how the trials differ is no matter of order.
    """
    block = -(-max(each.size for each in series) // _POINTS)
    away = [each - each.mean() for each in series]
    alone = sum(float(each @ each) for each in away)
    if alone == 0.0:
        return 1.0
    products = [_products(np.add.reduceat(each, np.arange(0, each.size, block))) for each in away]
    lags = np.zeros(max(each.size for each in products))
    for each in products:
        lags[: each.size] += each
    pairs = lags[::2] + lags[1::2]
    ends = np.flatnonzero(pairs <= 0.0)
    positive = pairs[: ends[0]] if ends.size else pairs
    return max(1.0, (2.0 * float(np.minimum.accumulate(positive).sum()) - float(lags[0])) / alone)


def _products(values: Floats) -> Floats:
    """Return the sums of products of values that are 0, 1, 2, … apart: an even number of sums."""
    size = 1 << (2 * values.size - 1).bit_length()
    spectrum = np.fft.rfft(values, size)
    return np.asarray(np.fft.irfft(np.abs(spectrum) ** 2, size)[: values.size + values.size % 2])
