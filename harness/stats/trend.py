"""A metric over many runs: how much it scatters from run to run, and where its level shifted."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from harness.spec.arrays import Floats
from harness.stats.changepoint import segments

FEWEST = 6
"""Runs below which no shift is looked for: the noise from run to run is then hardly known."""
_MAD = 1.4826


class Shift(NamedTuple):
    """From the value at index `at` on, the level is `after` instead of `before` (medians, in the values' unit)."""

    at: int
    before: float
    after: float

    @property
    def change(self) -> float:
        """The relative change."""
        return self.after / self.before - 1.0


class Trend(NamedTuple):
    """The level now, since which index, the relative noise from run to run (None: too few runs), and the shifts."""

    level: float
    since: int
    noise: float | None
    shifts: tuple[Shift, ...]


def trend(values: Sequence[float]) -> Trend:
    """Describe positive values in time order. Raises `ValueError` for none.

    Shifts are the change points of Barrett et al. (`changepoint.segments`): a shift of d noise deviations is told after
    about 15 log(n) / d² runs.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.size == 0:
        raise ValueError("no values: a trend needs at least one")
    if series.size < FEWEST:
        return Trend(float(np.median(series)), 0, None, ())
    found = segments(series)
    shifts = tuple(Shift(two.start, one.level, two.level) for one, two in pairwise(found))
    return Trend(found[-1].level, found[-1].start, scatter(series), shifts)


def scatter(series: Floats) -> float | None:
    """Return the relative noise of one run, robustly, from differences of successive runs, which shifts do not affect.

    None for fewer than six values, or values that are not positive.
    """
    if series.size < FEWEST or not bool(np.all(series > 0.0)):
        return None
    steps = np.abs(np.diff(np.log(series)))
    return float(_MAD * np.median(steps) / np.sqrt(2.0))


def bins(values: Sequence[float], most: int) -> list[float]:
    """Return at most `most` medians of successive values, for a small picture of a long series."""
    series = np.asarray(values, dtype=np.float64)
    parts = np.array_split(series, min(most, series.size)) if series.size else []
    return [float(np.median(part)) for part in parts]
