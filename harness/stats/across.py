"""What several trials know together: estimates whose unit of statistics is the trial, not the sample.

Ten processes of one model differ by more than samples inside one do, so an interval over pooled samples is
far too narrow. Here each trial contributes one number, and the interval comes from how these numbers differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.stats.interval import Interval
from harness.stats.quantiles import Quantile

Basis: TypeAlias = Literal["within", "between", "exact"]
Floats: TypeAlias = npt.NDArray[np.float64]


class Estimate(NamedTuple):
    """A value with its interval, the samples and trials behind it, and which spread set the interval.

    `basis` is "between" (how trials differ), "within" (how well each trial knows its own number), or
    "exact" (counted or read, no uncertainty).
    """

    value: float
    low: float
    high: float
    n: int
    trials: int
    basis: Basis


def over_trials(values: Sequence[float], confidence: float = 0.95, log: bool = True, n: int | None = None) -> Estimate:
    """Give the mean over trials with Student's t interval; on logs (geometric mean) for positive values.

    Plain arithmetic when `log` is False or any value is not positive. One trial says nothing about how trials
    differ, so its interval is unbounded: from 0 on logs, from -inf otherwise, to inf. `n` is the number of
    samples behind the values and defaults to the number of trials. Raises `ValueError` for no or NaN values.
    """
    trials = _checked(values)
    logs = log and bool(np.all(trials > 0))
    centre, half = _centre(trials, logs), _half_width(np.log(trials) if logs else trials, confidence)
    ends = (centre * math.exp(-half), centre * _exp(half)) if logs else (centre - half, centre + half)
    return Estimate(centre, *ends, n or trials.size, trials.size, "between")


def within_trials(per_trial: Sequence[Quantile], n: int) -> Estimate:
    """Combine the intervals that trials have of their own percentile, as if trials did not differ otherwise.

    Half-widths are independent errors of the k terms of a mean: sqrt(sum of squares) / k, per end, on logs
    where everything is positive. An end that is unbounded in any trial stays unbounded. With few trials this
    ignores what differs between processes; `combine` does not.
    """
    values = _checked([each.value for each in per_trial])
    logs = bool(np.all(values > 0)) and all(each.low > 0 or math.isinf(each.low) for each in per_trial)
    centre = _centre(values, logs)
    below = _in_quadrature([_distance(each.low, each.value, logs) for each in per_trial])
    above = _in_quadrature([_distance(each.value, each.high, logs) for each in per_trial])
    ends = (centre * math.exp(-below), centre * _exp(above)) if logs else (centre - below, centre + above)
    return Estimate(centre, *ends, n, values.size, "within")


def combine(per_trial: Sequence[Quantile], n: int, confidence: float = 0.95) -> Estimate:
    """Give a percentile over trials with the wider, at each end, of the between- and within-trial intervals.

    `n` counts the samples of all trials. `basis` names the wider of the two as a whole. One trial leaves the
    interval unbounded, because nothing is known between trials; `within_trials` tells what the trial itself
    knows. Raises `ValueError` for no trials.
    """
    between = over_trials([each.value for each in per_trial], confidence, n=n)
    within = within_trials(per_trial, n)
    wider = within if _width(within) > _width(between) else between
    return wider._replace(low=min(between.low, within.low), high=max(between.high, within.high))


def bootstrap_over_trials(
    values: Sequence[float], confidence: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Give the bootstrap-t interval of the mean over trials, on logs for positive values.

    Each draw resamples trials and studentises its mean by its own standard error (Efron & Tibshirani, An
    Introduction to the Bootstrap, section 12.5). Prefer it to `over_trials` from about 20 trials on when
    trials are clearly skewed, even on logs. With fewer, resamples repeat themselves and standard errors
    collapse: the interval becomes erratic while Student's t stays honest. Unbounded below three trials.
    """
    trials = _checked(values)
    logs = bool(np.all(trials > 0))
    scaled = np.log(trials) if logs else trials
    if trials.size < 3:
        return Interval(0.0 if logs else -math.inf, math.inf)
    low, high = _studentised(scaled, confidence, draws, np.random.default_rng(seed))
    return Interval(math.exp(low), math.exp(high)) if logs else Interval(low, high)


def _checked(values: Sequence[float]) -> Floats:
    trials = np.asarray(values, dtype=np.float64)
    if trials.size == 0 or not np.all(np.isfinite(trials)):
        raise ValueError(f"needs one finite value per trial and at least one trial, not {list(values)!r}")
    return trials


def _centre(values: Floats, logs: bool) -> float:
    """Give the geometric or the arithmetic mean; exactly the common value where all are equal."""
    if np.all(values == values[0]):
        return float(values[0])
    return math.exp(float(np.log(values).mean())) if logs else float(values.mean())


def _half_width(values: Floats, confidence: float) -> float:
    k = values.size
    if k < 2:
        return math.inf
    critical = float(special.stdtrit(k - 1, (1.0 + confidence) / 2.0))
    return critical * float(values.std(ddof=1)) / math.sqrt(k)


def _studentised(values: Floats, confidence: float, draws: int, rng: np.random.Generator) -> Interval:
    k = values.size
    error = float(values.std(ddof=1)) / math.sqrt(k)
    resampled = values[rng.integers(0, k, size=(draws, k))]
    errors = resampled.std(axis=1, ddof=1) / math.sqrt(k)
    usable = errors > 1e-12 * max(error, 1e-300)
    if error == 0.0 or not usable.any():
        return Interval(float(values.mean()), float(values.mean()))
    scores = (resampled.mean(axis=1)[usable] - values.mean()) / errors[usable]
    tail = (1.0 - confidence) / 2.0
    below, above = np.quantile(scores, [1.0 - tail, tail])
    return Interval(float(values.mean() - below * error), float(values.mean() - above * error))


def _distance(low: float, high: float, logs: bool) -> float:
    if math.isinf(low) or math.isinf(high):
        return math.inf
    return math.log(high / low) if logs else high - low


def _in_quadrature(halves: Sequence[float]) -> float:
    return math.hypot(*halves) / len(halves)


def _width(of: Estimate) -> float:
    """Give a width that orders estimates of one quantity; infinite when an end is unbounded."""
    if of.low > 0 and math.isfinite(of.high):
        return math.log(of.high / of.low)
    return of.high - of.low if of.low < 0 or of.value <= 0 else math.inf


def _exp(value: float) -> float:
    return math.exp(value) if value < 709.0 else math.inf
