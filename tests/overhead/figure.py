"""A figure: a measured number with its n, its uncertainty, and the range it should be in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Figure(NamedTuple):
    """A measured figure: its name, value, unit, n, and the range it should be in.

    `interval` is the 95 % interval of the value, where it is known; `note` is printed below.
    """

    name: str
    value: float
    unit: str
    n: int
    low: float
    high: float
    interval: tuple[float, float] | None = None
    note: str = ""

    @property
    def reached(self) -> bool:
        """Whether the value is in its range."""
        return self.low <= self.value <= self.high

    @property
    def missed(self) -> bool:
        """Whether the value is outside its range, and its interval too."""
        low, high = self.interval or (self.value, self.value)
        return not self.reached and not (low <= self.high and high >= self.low)


def median(name: str, values: Sequence[float], low: float, high: float, unit: str = "", note: str = "") -> Figure:
    """Return the median of values as a figure, with the interval that their order gives (no normality is assumed)."""
    ordered = np.sort(np.asarray(values, dtype=float))
    n = len(ordered)
    rank = max(int(stats.binom.ppf(0.025, n, 0.5)), 1) - 1
    interval = (float(ordered[rank]), float(ordered[n - 1 - rank]))
    return Figure(name, float(np.median(ordered)), unit, n, low, high, interval, note)


def spread(name: str, ours: Sequence[float], baseline: Sequence[float], high: float, note: str = "") -> Figure:
    """Return the ratio of two standard deviations as a figure, with the interval of normal values (F)."""
    ratio = float(np.std(ours, ddof=1) / np.std(baseline, ddof=1))
    limits = stats.f.ppf([0.025, 0.975], len(ours) - 1, len(baseline) - 1)
    interval = (ratio / math.sqrt(limits[1]), ratio / math.sqrt(limits[0]))
    return Figure(name, ratio, "", len(ours), 0.0, high, interval, note)


def text(figure: Figure) -> str:
    """Write a figure on a line."""
    mark = "ok     " if figure.reached else "MISSED " if figure.missed else "unclear"
    interval = "" if figure.interval is None else "[{:.4g}, {:.4g}]".format(*figure.interval)
    wanted = f"{figure.low:g} … {figure.high:g}"
    value = f"{figure.value:10.4g} {interval:18} {figure.unit:12}"
    line = f"{mark} {value} wanted {wanted:12} n={figure.n:<12,} {figure.name}"
    return line + "".join(f"\n        {each}" for each in figure.note.splitlines())
