"""A percentile of all requests of a cell, with an interval that treats trials as clusters. Needs numpy and scipy.

Requests of one trial share a process, so they are not independent. The interval is Woodruff's (1952, JASA 47): the
variance of the fraction of requests at or below the estimate is computed between trials; it gives the number of
independent requests that would know the fraction as well (the effective n); an exact binomial interval of that size
is inverted to order statistics (Korn & Graubard 1998, Survey Methodology 24).

A variance between k = 3…5 trials is itself poorly known. With Student's quantile alone, 4 trials × 250 requests bound
p99 in 58 % of runs at 5 % process spread; with the binomial variance wherever trials do not differ more than chance,
coverage falls to 0.82. The rule here is between them (`half_width`). And where requests are many, but processes differ
more than requests do, no number of requests would bound even p50: five processes are five clusters. Then the trials'
own percentiles do (`_ends_by_trials`). Simulated, lognormal σ 0.5, 3,000 runs each: coverage of the 95 % intervals of
p50 (always bounded) and p99, and in parentheses how often p99 has two ends, by process spread:
             0 %                 2 %                 5 %                 15 %                30 %
  3 × 1,000  0.998 0.998 (1.00)  0.984 0.997 (1.00)  0.933 0.992 (1.00)  0.956 0.959 (0.91)  0.968 0.910 (0.49)
  4 ×   250  0.993 0.997 (1.00)  0.984 0.997 (1.00)  0.957 0.995 (1.00)  0.955 0.981 (0.91)  0.969 0.941 (0.53)
  4 × 4,000  0.993 0.994 (1.00)  0.928 0.984 (1.00)  0.937 0.943 (1.00)  0.950 0.949 (0.95)  0.959 0.926 (0.44)
  8 × 1,000  0.982 0.982 (1.00)  0.949 0.978 (1.00)  0.950 0.961 (1.00)  0.960 0.950 (0.99)  0.968 0.938 (0.52)
With σ 0.1, p99 of 5 × 1,000: 0.946 (1.00) at 2 %, 0.937 (0.60) at 5 %, 0.908 (0.11) at 10 % spread.
Spikes ×4 in 10 % of slices, 3 to 8 trials of 20 slices: 0.94 to 0.97, p90 at the edge of the spikes 0.89 to 0.96. Where
3 of 12 processes stall 5 % of calls ×8, p99 is what users see (7.3 ×) and its upper end is unbounded: twelve processes
do not tell how many stall.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from harness.spec.arrays import Array, Floats
from harness.stats.quantiles import check_fraction, quantile_index, quantile_ranks, samples_needed
from harness.stats.serial import design_effect

DIFFER = 0.03
"""Trials differ if chance alone would make their fractions differ as much with at most this probability."""
FEWEST_MODERATED = 3
ALIKE = 0.5
"""Spread between processes over that of requests inside them up to which trials' own percentiles bound a tail."""
_NIL = 1e-12  # relative differences below are rounding


class PooledQuantile(NamedTuple):
    """A percentile over all requests, its interval (`-inf`, `inf`: unbounded), and the effective number of requests.

    `loads` has one entry per trial, on log(value): the trial's part in the error of the estimate, positive where the
    trial is slower. The root of their sum of squares is a standard error with k-1 degrees of freedom: the interval's
    half-width over Student's quantile; where one end is unbounded, the distance to the other. All 0 for one trial,
    whose error is not known, and for values that are not positive.

    `independent_n` is what requests that wait for one another are worth if trials do not differ; else all count.

    Two cells are better compared by the trials' own percentiles, in which what their blocks share cancels exactly.
    Loads follow the interval, and the share of requests above a percentile is far from linear where a host drifts more
    than requests vary: 5 % between two p50 (8 blocks, ±10 % drift, requests ±5 %, n = 600 tables) is found in 32 % of
    tables by loads, in 98 % by trials.
    """

    value: float
    low: float
    high: float
    effective_n: float
    loads: Floats
    independent_n: float = math.inf


def pooled_quantile(
    trials: Sequence[Array], p: float, confidence: float = 0.95, queued: bool = False
) -> PooledQuantile:
    """Return the p-quantile of the requests of all trials together, in their unit.

    `queued`: those of each trial are in the order they were due, and wait for one another. One trial leaves both ends
    unbounded: how trials differ is then not known. Raises `ValueError` when there are no requests, or for fractions
    outside (0, 1).
    """
    return pooled_quantiles(trials, (p,), confidence, queued)[p]


def pooled_quantiles(
    trials: Sequence[Array], ps: Sequence[float], confidence: float = 0.95, queued: bool = False
) -> dict[float, PooledQuantile]:
    """Return several percentiles as `pooled_quantile` does; the requests are sorted once.

    A percentile is not above an end of a higher one, nor below an end of a lower one: such ends bound it, too.
    """
    check_fraction(confidence, "confidence")
    for p in ps:
        check_fraction(p, "p")
    if not any(trial.size for trial in trials):
        raise ValueError("no samples: a quantile needs at least one")
    ordered = np.sort(np.concatenate(trials))
    rising = sorted(ps)
    ends = [_bounds(ordered, trials, p, confidence, queued) for p in rising]
    low = np.maximum.accumulate([each.low for each in ends])
    high = np.minimum.accumulate([each.high for each in reversed(ends)])[::-1]
    found = zip(rising, ends, low.tolist(), high.tolist(), strict=True)
    made = {
        p: _quantile(trials, p, confidence, each._replace(low=lowest, high=most)) for p, each, lowest, most in found
    }
    return {p: made[p] for p in ps}


def effective_n(at_most: Floats, sizes: Floats, p: float, confidence: float = 0.95, effect: float = 1.0) -> float:
    """Return how many independent requests would know the fraction at or below the estimate as well as these trials.

    `at_most` counts, per trial, the requests at or below the estimate; `sizes` all its requests, of which `effect` are
    worth one independent one. At most the number of independent requests; 0 for one trial.
    """
    k, total = int(np.count_nonzero(sizes)), float(sizes.sum())
    if k < 2:
        return 0.0
    variance = k / (k - 1.0) * float(((_residuals(at_most, sizes) / total) ** 2).sum())
    tail, independent = (1.0 + confidence) / 2.0, total / effect
    width = half_width(variance * independent / (p * (1.0 - p)), k, tail)
    return independent * min(1.0, (float(special.ndtri(tail)) / width) ** 2)


def half_width(ratio: float, trials: int, tail: float = 0.975) -> float:
    """Return the half-width of the fraction's interval, in standard deviations of as many independent requests.

    `ratio` is the variance between trials over that of independent requests. Where the trials differ (`DIFFER`), it
    is Student's quantile with k-1 degrees of freedom times the root of the ratio. Where they do not, it is at most
    that of a variance moderated half and half with the binomial one (k more degrees of freedom) at the ratio from
    which on trials differ; and never below that of the moderated variance, or of independent requests.
    """
    df = trials - 1.0
    own = float(special.stdtrit(df, tail)) * math.sqrt(ratio)
    critical = float(special.chdtri(df, DIFFER)) / df
    if trials < FEWEST_MODERATED or ratio > critical:
        return max(own, float(special.ndtri(tail)))
    return max(_moderated(ratio, trials, tail), min(own, _moderated(critical, trials, tail)))


def _moderated(ratio: float, trials: int, tail: float) -> float:
    """Average the ratio with the binomial 1 by their degrees of freedom, k-1 and k; at least 1."""
    df = 2.0 * trials - 1.0
    return float(special.stdtrit(df, tail)) * math.sqrt(max(1.0, (trials + (trials - 1.0) * ratio) / df))


def _residuals(at_most: Floats, sizes: Floats) -> Floats:
    """Give how many requests more than expected are above the estimate, per trial."""
    return np.asarray(at_most.sum() / sizes.sum() * sizes - at_most)


class _Bounds(NamedTuple):
    """A percentile's value and ends, and for how many requests they are."""

    value: float
    low: float
    high: float
    effective_n: float
    independent_n: float


def _bounds(ordered: Array, trials: Sequence[Array], p: float, confidence: float, queued: bool) -> _Bounds:
    value = float(ordered[quantile_index(ordered.size, p)])
    sizes = np.array([trial.size for trial in trials], dtype=np.float64)
    effect = design_effect(ordered, trials, p) if queued else 1.0
    independent = ordered.size / effect
    n = effective_n(_at_most(value, trials, p), sizes, p, confidence, effect)
    low, high = _ends(ordered, n, p, confidence)
    if math.isinf(high - low) and enough(math.floor(independent), int(np.count_nonzero(sizes)), p, confidence):
        own, typical = (np.array([_own(trial, each) for trial in trials]) for each in (p, 0.5))
        lower, upper = _ends_by_trials(value, own, typical, p, confidence)
        low, high = (lower if math.isinf(low) else low), (upper if math.isinf(high) else high)
    return _Bounds(value, low, high, n, independent)


def _quantile(trials: Sequence[Array], p: float, confidence: float, found: _Bounds) -> PooledQuantile:
    own = np.array([_own(trial, p) for trial in trials])
    loads = _loads(found.value, own, _error(found.value, found.low, found.high, own, confidence))
    return PooledQuantile(found.value, found.low, found.high, found.effective_n, loads, found.independent_n)


def enough(requests: int, trials: int, p: float, confidence: float = 0.95) -> bool:
    """Whether so many independent requests would bound a percentile at both ends if trials did not differ."""
    if trials < 2:
        return False
    tail = (1.0 + confidence) / 2.0
    worth = (float(special.ndtri(tail)) / half_width(0.0, trials, tail)) ** 2
    return requests * worth >= samples_needed(p, confidence)


def _ends_by_trials(value: float, own: Floats, typical: Floats, p: float, confidence: float) -> tuple[float, float]:
    """Bound a percentile by the trials' own percentiles and medians, where requests are many and processes few.

    Student's interval of the logarithms. It sees no more of the processes' own distribution than k draws, so a tail is
    bounded only where processes differ by less than half (`ALIKE`) of what requests do. There the upper end starts
    where the percentile would be if both were lognormal.
    """
    ran = np.isfinite(own)
    if value <= 0.0 or not bool(np.all((own[ran] > 0.0) & (typical[ran] > 0.0))):
        return -math.inf, math.inf
    logs, k, far = np.log(own[ran]), int(np.count_nonzero(ran)), abs(float(special.ndtri(p)))
    centre, spread = float(logs.mean()), float(logs.std(ddof=1))
    inside = abs(centre - float(np.log(typical[ran]).mean()))
    if spread * far > ALIKE * inside:
        return -math.inf, math.inf
    half = float(special.stdtrit(k - 1.0, (1.0 + confidence) / 2.0)) * spread / math.sqrt(k)
    beyond = math.hypot(inside, spread * far) - inside
    return math.exp(min(math.log(value), centre) - half), math.exp(max(math.log(value), centre + beyond) + half)


def _at_most(value: float, trials: Sequence[Array], p: float) -> Floats:
    """Count each trial's requests at or below the estimate; of those equal to it the part that gives p in all.

    Without that, a value that many requests share (a timer's step, a constant stall) would look certain.
    """
    below = np.array([np.count_nonzero(trial < value) for trial in trials], dtype=np.float64)
    equal = np.array([np.count_nonzero(trial == value) for trial in trials], dtype=np.float64)
    wanted = p * sum(trial.size for trial in trials) - below.sum()
    return np.asarray(below + equal * np.clip(wanted / equal.sum(), 0.0, 1.0))


def _ends(ordered: Array, n: float, p: float, confidence: float) -> tuple[float, float]:
    """Return the order statistics at the fractions that an exact interval of size `n` gives."""
    whole = math.floor(n)
    if whole < 1:
        return -math.inf, math.inf
    ranks = quantile_ranks(whole, p, confidence)
    scale = ordered.size / whole
    low = -math.inf if ranks.low is None else float(ordered[max(0, math.floor((ranks.low - 1) * scale))])
    high = math.inf if ranks.high is None else float(ordered[min(ordered.size, math.ceil(ranks.high * scale)) - 1])
    return low, high


def _error(value: float, low: float, high: float, own: Floats, confidence: float) -> float:
    """Return the standard error of log(value) for Student's t, from the ends that are bounded; 0 if none is."""
    below = math.log(value / low) if low > 0.0 else math.inf
    above = math.log(high / value) if value > 0.0 and math.isfinite(high) else math.inf
    bounded = [each for each in (below, above) if math.isfinite(each)]
    if not bounded:
        return 0.0
    df = float(np.count_nonzero(np.isfinite(own))) - 1.0
    return math.fsum(bounded) / len(bounded) / float(special.stdtrit(df, (1.0 + confidence) / 2.0))


def _loads(value: float, own: Floats, error: float) -> Floats:
    """Give `error` to the trials by how far their own percentiles are from the value; equally if all agree with it."""
    ran = np.isfinite(own)
    found = np.zeros(own.size)
    if error == 0.0 or not bool(np.all(own[ran] > 0.0)):
        return found
    away = np.log(own[ran] / value)
    if not bool(np.any(np.abs(away) > _NIL)):
        away = np.ones(away.size)
    found[ran] = away * (error / math.sqrt(float(away @ away)))
    return found


def _own(trial: Array, p: float) -> float:
    """Return a trial's own percentile; NaN without requests."""
    if trial.size == 0:
        return math.nan
    index = quantile_index(trial.size, p)
    return float(np.partition(trial, index)[index])
