"""Estimates over several trials. The unit of statistics is the trial, not the sample.

Processes of one model differ by more than the samples inside one process, so an interval over pooled samples is
too narrow. Here each trial contributes one number, and the interval follows from the spread of these numbers.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import special

from harness.spec.arrays import Floats


class TrialEstimate(NamedTuple):
    """A value with its interval over trials, and the numbers of samples and trials."""

    value: float
    low: float
    high: float
    n: int
    trials: int
    basis: Literal["between"] = "between"


def over_trials(
    values: Sequence[float], confidence: float = 0.95, log: bool = True, n: int | None = None
) -> TrialEstimate:
    """Return the mean over trials with Student's t interval; on logs (geometric mean) for positive values.

    The arithmetic mean when `log` is False or any value is not positive. With one trial the spread over trials
    is unknown and the interval unbounded: from 0 on logs, from -inf otherwise, to inf. `n` is the number of
    samples and defaults to the number of trials. Raises `ValueError` for no or NaN values.
    """
    trials = _checked(values)
    logs = log and bool(np.all(trials > 0))
    half = _half_width(np.log(trials) if logs else trials, confidence)
    return TrialEstimate(*_interval(_centre(trials, logs), half, half, logs), n or trials.size, trials.size)


def _checked(values: Sequence[float]) -> Floats:
    trials = np.asarray(values, dtype=np.float64)
    if trials.size == 0 or not np.all(np.isfinite(trials)):
        raise ValueError(f"needs one finite value per trial and at least one trial, not {list(values)!r}")
    return trials


def _centre(values: Floats, logs: bool) -> float:
    """Return the geometric or the arithmetic mean; exactly the common value where all are equal."""
    if np.all(values == values[0]):
        return float(values[0])
    return math.exp(float(np.log(values).mean())) if logs else float(values.mean())


def _half_width(values: Floats, confidence: float) -> float:
    k = values.size
    if k < 2:
        return math.inf
    critical = float(special.stdtrit(k - 1, (1.0 + confidence) / 2.0))
    return critical * float(values.std(ddof=1)) / math.sqrt(k)


def _interval(centre: float, below: float, above: float, logs: bool) -> tuple[float, float, float]:
    """Give a centre with the ends at these distances from it; an end too large for a float is infinite."""
    if not logs:
        return centre, centre - below, centre + above
    return centre, centre * math.exp(-below), centre * math.exp(above) if above < 709.0 else math.inf
