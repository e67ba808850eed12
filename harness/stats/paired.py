"""Power of paired comparisons, and how variance divides into within and between trials.

The split: Kalibera & Jones, "Rigorous Benchmarking in Reasonable Time" (ISMM 2013), two levels. Samples are treated as
independent given their trial; where they are not, the variance between trials is overestimated.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from harness.spec.arrays import Array, Floats

MOST_BLOCKS = 10_000


def log_ratios(first: Floats, second: Floats) -> Floats:
    """Return log(first / second) per block; NaN where either is missing or not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(first) - np.log(second)
    return np.where(np.isfinite(logs), logs, np.nan)


def detection_power(effect: float, sd: float, blocks: int, alpha: float = 0.05) -> float:
    """Return the probability that a two-sided paired t-test at `alpha` detects a true mean difference of `effect`.

    `sd` is that of one paired difference, in the effect's unit. From the noncentral t distribution; only
    detections with the right sign count.
    """
    if blocks < 2:
        return 0.0
    if sd == 0.0:
        return 1.0 if effect != 0.0 else 0.0
    critical = float(special.stdtrit(blocks - 1, 1.0 - alpha / 2.0))
    return 1.0 - float(special.nctdtr(blocks - 1, abs(effect) / sd * math.sqrt(blocks), critical))


def blocks_needed(effect: float, sd: float, alpha: float = 0.05, power: float = 0.9) -> int | None:
    """Return the fewest blocks that detect `effect` with this power; `None` if 10,000 do not suffice.

    `effect` and `sd` (of one paired difference) share a unit, such as log-ratio.
    """

    def enough(blocks: int) -> bool:
        return detection_power(effect, sd, blocks, alpha) >= power

    most = 2
    while not enough(most):
        if most == MOST_BLOCKS:
            return None
        most = min(2 * most, MOST_BLOCKS)
    return bisect_left(range(most), True, lo=most // 2, key=enough)


def minimum_detectable(blocks: int, sd: float, alpha: float = 0.05, power: float = 0.9) -> float:
    """Return the smallest true mean difference that this many blocks detect with this power, in the unit of `sd`.

    Infinite with fewer than two blocks.
    """
    if blocks < 2:
        return math.inf
    low, high = 0.0, sd
    while detection_power(high, sd, blocks, alpha) < power:
        low, high = high, 2.0 * high
        if high == 0.0:
            return 0.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (low, middle) if detection_power(middle, sd, blocks, alpha) >= power else (middle, high)
    return high


MOST_SAMPLES = 1_000_000


class VarianceSplit(NamedTuple):
    """Variances in the samples' unit squared: of one sample within its trial, and of the trials' true means.

    `between` is 0 when the variance within trials explains how trial means differ.
    """

    within: float
    between: float


def split(trials: Sequence[Array]) -> VarianceSplit:
    """Split the variance of samples, one array per trial, into within and between (their equation for T^2).

    within is the mean of the trials' sample variances; between is the variance of trial means less within /
    samples. Raises `ValueError` unless there are two trials of two samples each.
    """
    if len(trials) < 2 or any(trial.size < 2 for trial in trials):
        raise ValueError("a split needs at least two trials with at least two samples each")
    samples = len(trials) / sum(1.0 / trial.size for trial in trials)
    within = float(np.mean([trial.var(ddof=1) for trial in trials]))
    of_means = float(np.var([trial.mean() for trial in trials], ddof=1))
    return VarianceSplit(within, max(0.0, of_means - within / samples))


def samples_per_trial(of: VarianceSplit, cost_per_trial: float, cost_per_sample: float) -> int:
    """Return the samples per trial that give the most precise mean for a given total cost.

    Their optimum, ceil(sqrt(cost_per_trial / cost_per_sample * within / between)); both costs share a unit,
    such as seconds. At least 1, at most `MOST_SAMPLES`, which is also the answer when `between` is 0.
    Raises `ValueError` for costs that are not positive.
    """
    if cost_per_trial <= 0 or cost_per_sample <= 0:
        raise ValueError(f"costs must be positive, not {cost_per_trial!r} and {cost_per_sample!r}")
    if of.between == 0.0:
        return MOST_SAMPLES
    best = math.sqrt(cost_per_trial / cost_per_sample * of.within / of.between)
    return min(MOST_SAMPLES, max(1, math.ceil(best)))
