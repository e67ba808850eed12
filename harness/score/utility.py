"""Utility on fixed scales: 1 at the objective's target or better, 0 at its limit or worse.

The scale belongs to the suite, never to the field of candidates, so that adding a row moves no other.
"""

from __future__ import annotations

import math

import numpy as np

from harness.score.estimate import Floats
from harness.spec.policy import Objective, scale_of

_TINY = 1e-300  # stands for 0 and below on a log scale: as low as can be


def utility(values: Floats, key: str, objective: Objective) -> Floats:
    """Map values in the metric's unit to [0, 1], linearly or in logarithms (`scale_of`)."""
    position = (_scaled(values, key, objective) - _end(objective.limit, key, objective)) / _span(key, objective)
    return np.clip(position, 0.0, 1.0)


def slope(value: float, log_noise: bool, key: str, objective: Objective) -> float:
    """Give d utility / d noise at `value`, as if the scale had no ends.

    The noise is that of log(value) if `log_noise`, else of the value. The ends are left out on purpose: what
    is known about a difference must not look sharper because a row became better and reached an end.
    """
    if scale_of(key, objective) == "log":
        per_noise = 1.0 if log_noise else (1.0 / value if value > 0 else 0.0)
    else:
        per_noise = value if log_noise else 1.0
    return per_noise / _span(key, objective)


def _scaled(values: Floats, key: str, objective: Objective) -> Floats:
    return np.log(np.maximum(values, _TINY)) if scale_of(key, objective) == "log" else values


def _end(value: float, key: str, objective: Objective) -> float:
    return math.log(value) if scale_of(key, objective) == "log" else value


def _span(key: str, objective: Objective) -> float:
    return _end(objective.target, key, objective) - _end(objective.limit, key, objective)
