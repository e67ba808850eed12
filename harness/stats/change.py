"""Whether a number changed: an effect with the parts of its noise, tested for a change and for sameness.

The noise of a difference between two runs has parts of very different certainty: the spread of trials (few degrees of
freedom each), how runs of the same thing differ (known from a few runs, or stated). Half-widths of the parts are added
in squares at the level asked for. One Student quantile with the df of Satterthwaite for the sum would be too short far
in the tail, where family-wise tests are (see `pairs.margin_of`).

Changes are tested by Student's t on logarithms, not by ranks: of 5 against 5 trials the smallest p of Mann and Whitney
is 0.008, which no correction for a hundred verdicts survives, and no rank test knows of the noise between runs.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from harness.spec.arrays import Floats

_FARTHEST, _HALVINGS = 30.0, 60  # standard deviations; bisections of them


class Part(NamedTuple):
    """One part of the noise of an effect: a standard error in the effect's unit, with the df behind it."""

    error: float
    df: float = math.inf


def half_width(parts: Sequence[Part], tail: float) -> float:
    """Return the half-width of the interval that leaves the probability `tail` on each side; in the effect's unit."""
    return _half_width(parts, float(special.ndtri(1.0 - tail)))


def p_changed(effect: float, parts: Sequence[Part]) -> float:
    """Return the two-sided p-value of "nothing changed"; without any noise, 0 or 1."""
    return min(1.0, 2.0 * _tail(abs(effect), parts))


def p_differs(effect: float, parts: Sequence[Part], margin: float) -> float:
    """Return the p-value of "it changed by `margin` or more", by two one-sided tests (Schuirmann 1987)."""
    room = margin - abs(effect)
    return _tail(room, parts) if room > 0.0 else 1.0


def holm(p: Sequence[float]) -> Floats:
    """Return p-values adjusted by Holm (1979): whichever are below alpha, any false one among them has p < alpha.

    Nothing is assumed of how the tests depend on each other.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(values.size, 0, -1)
    adjusted = np.empty(values.size)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if values.size else steps
    return adjusted


def _half_width(parts: Sequence[Part], normal: float) -> float:
    """Return the half-width at the level whose normal quantile is given."""
    tail = float(special.ndtr(-normal))
    return math.sqrt(math.fsum((_quantile(tail, normal, part.df) * part.error) ** 2 for part in parts if part.error))


def _quantile(tail: float, normal: float, df: float) -> float:
    return normal if math.isinf(df) else -float(special.stdtrit(df, tail))


def _tail(distance: float, parts: Sequence[Part]) -> float:
    """Return the level of the half-width `distance` >= 0, by bisection."""
    if not any(part.error for part in parts):
        return 0.0 if distance > 0.0 else 1.0
    low, high = 0.0, _FARTHEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _half_width(parts, middle) < distance else (low, middle)
    return float(special.ndtr(-low))
