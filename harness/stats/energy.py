"""Energy from a counter that is updated now and then, and from power samples. Needs numpy only.

Times are in seconds on one clock, counters in millijoules, power in watts; NaN where a sample is not known.
"""

from typing import NamedTuple

import numpy as np

from harness.spec.arrays import Floats, Indices

LEAST_UPDATES = 50
"""A difference of the counter counts from so many of its update periods on: its ends are then known to 2 %."""
MARGIN = 0.10
"""Counter and integrated power agree when they differ by less."""


class Energy(NamedTuple):
    """Energy between two updates of the counter.

    `begin_s` and `end_s` are when the updates were seen, `period_s` the time between updates (or between samples, where
    that is longer). The energy is known to ± `relative` of it. `integrated_j` is the power summed over the same time;
    None where no power is known.
    """

    joules: float
    begin_s: float
    end_s: float
    period_s: float
    relative: float
    integrated_j: float | None

    @property
    def agrees(self) -> bool | None:
        """Whether the integrated power is within the margin; None where there is none."""
        return None if self.integrated_j is None else abs(self.integrated_j / self.joules - 1.0) <= MARGIN


def update_period_s(t_s: Floats, counter_mj: Floats) -> float | None:
    """Return the mean time between updates of a counter, as samples show it; None where fewer than three are seen.

    All samples are known. Where each of them shows another value, this is the time between samples: the counter may be
    faster.
    """
    at = t_s[_updates(counter_mj)]
    return float((at[-1] - at[0]) / (len(at) - 1)) if len(at) >= 3 else None


def energy_between(t_s: Floats, counter_mj: Floats, power_w: Floats, begin_s: float, end_s: float) -> Energy | None:
    """Return the energy from the first to the last update of the counter seen within a window.

    None where the window holds fewer than `LEAST_UPDATES` update periods. An update is seen up to one sample late, and
    its value belongs to a moment up to one period earlier: each end is off by the longer of both, at most.
    """
    known = np.isfinite(counter_mj)
    at_s, counts = t_s[known], counter_mj[known]
    period_s, updates = update_period_s(at_s, counts), _updates(counts)
    inside = updates[(at_s[updates] >= begin_s) & (at_s[updates] <= end_s)]
    if period_s is None or len(inside) < 2:
        return None
    first, last = at_s[inside[0]], at_s[inside[-1]]
    span_s = float(last - first)
    if span_s < (LEAST_UPDATES - 1) * period_s:
        return None
    joules = float(counts[inside[-1]] - counts[inside[0]]) / 1e3
    between = (t_s >= first) & (t_s <= last)
    integrated_j = integral_j(t_s[between], power_w[between])
    return Energy(joules, float(first), float(last), period_s, period_s / span_s, integrated_j)


def integral_j(t_s: Floats, power_w: Floats) -> float | None:
    """Return the integral of power samples by the trapezoidal rule (J); None where fewer than two are known."""
    known = np.isfinite(power_w)
    if int(known.sum()) < 2:
        return None
    t, p = t_s[known], power_w[known]
    return float(np.sum(np.diff(t) * (p[1:] + p[:-1]) / 2.0))


def _updates(counter_mj: Floats) -> Indices:
    """Return the places of samples that show another value than the one before."""
    return np.flatnonzero(np.diff(counter_mj) != 0) + 1
