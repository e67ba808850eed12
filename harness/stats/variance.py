"""Where a metric's variance comes from: samples within a trial, or trials. And so: how many of each to take.

After Kalibera & Jones, "Rigorous Benchmarking in Reasonable Time" (ISMM 2013), two levels. The split is
of means, and treats samples of a trial as independent given the trial; where they are not, "between" takes
the blame, which errs towards more trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

MOST_SAMPLES = 1_000_000


class VarianceSplit(NamedTuple):
    """Variances in the samples' unit squared: of one sample within its trial, and of trials' true means.

    `samples` is the harmonic mean of samples per trial. `between` is 0 when trials differ no more than their
    samples explain.
    """

    within: float
    between: float
    trials: int
    samples: float


def split(trials: Sequence[npt.NDArray[Any]]) -> VarianceSplit:
    """Split the variance of samples, one array per trial, into within and between (their equation for T^2).

    within is the mean of trials' sample variances; between is the variance of trial means less within /
    samples. Raises `ValueError` unless there are two trials of two samples each.
    """
    if len(trials) < 2 or any(trial.size < 2 for trial in trials):
        raise ValueError("a split needs at least two trials with at least two samples each")
    samples = len(trials) / sum(1.0 / trial.size for trial in trials)
    within = float(np.mean([trial.var(ddof=1) for trial in trials]))
    of_means = float(np.var([trial.mean() for trial in trials], ddof=1))
    return VarianceSplit(within, max(0.0, of_means - within / samples), len(trials), samples)


def samples_per_trial(
    of: VarianceSplit, cost_per_trial: float, cost_per_sample: float, most: int = MOST_SAMPLES
) -> int:
    """Give the samples per trial that make the mean most precise for its cost.

    Their optimum, ceil(sqrt(cost_per_trial / cost_per_sample * within / between)), costs in one unit, such as
    seconds. At least 1, at most `most`, which is also the answer when trials do not differ.
    Raises `ValueError` for costs that are not positive.
    """
    if cost_per_trial <= 0 or cost_per_sample <= 0:
        raise ValueError(f"costs must be positive, not {cost_per_trial!r} and {cost_per_sample!r}")
    if of.between == 0.0:
        return most
    best = math.sqrt(cost_per_trial / cost_per_sample * of.within / of.between)
    return min(most, max(1, math.ceil(best)))


def variance_of_mean(of: VarianceSplit, trials: int, samples: int) -> float:
    """Foretell the variance of the mean over this many trials of this many samples each."""
    return of.between / trials + of.within / (trials * samples)
