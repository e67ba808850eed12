"""Change points of a time series: whether a process warmed up, slowed down, or reached no steady state.

After Barrett et al., "Virtual Machine Warmup Blows Hot and Cold" (OOPSLA 2017): split the series where its
mean shifts, merge equivalent segments, and classify by the last ones.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from harness.spec.arrays import Array, Floats

POINTS = 2_000  # at most this many medians are segmented
PER_POINT = 10  # samples per median, if the series is long enough
FEWEST_POINTS = 50
PENALTY = 15.0  # times log(points), per change point: as in Barrett et al.
EQUIVALENT = 0.02  # segments whose means differ by at most this fraction are one state
LAST_FRACTION = 0.25  # the final state must last at least this fraction of the run


class Segment(NamedTuple):
    """Points [start, stop) of a series and their median, in the series' unit."""

    start: int
    stop: int
    level: float


def classify(samples: Array | Sequence[float]) -> Literal["flat", "warmup", "slowdown", "no_steady_state"]:
    """Classify a series in time order as "flat", "warmup", "slowdown" or "no_steady_state".

    flat: one state throughout. warmup: the last state is the fastest. slowdown: an earlier state was faster.
    no_steady_state: the last state lasted less than a quarter of the run.
    Up to 2,000 medians of consecutive samples are segmented, so that single outliers have no effect.
    Raises `ValueError` for an empty series.
    """
    series = _medians(np.asarray(samples, dtype=np.float64))
    states = segments(series)
    if len(states) == 1:
        return "flat"
    last = states[-1]
    if last.stop - last.start < LAST_FRACTION * series.size:
        return "no_steady_state"
    return "warmup" if last.level <= min(each.level for each in states) else "slowdown"


def segments(series: Floats) -> list[Segment]:
    """Split a series where its mean shifts; merge neighbours within 2 % or its noise, the closest first.

    Exact least-squares partitioning (Jackson et al. 2005, the recursion that PELT prunes) with a penalty of
    15 log n noise variances per change. Noise is the MAD of first differences, which shifts do not affect.
    Values far from their local median are clipped first, so that heavy tails do not create segments.
    """
    noise = _noise(series)
    penalty = PENALTY * math.log(max(series.size, 2)) * noise**2
    bounds = _partition(_clipped(series, noise), penalty)
    found = [_segment(series, start, stop) for start, stop in pairwise(bounds)]
    while True:
        gaps = [_gap(left, right, noise) for left, right in pairwise(found)]
        if min(gaps, default=math.inf) > 1.0:
            return found
        at = gaps.index(min(gaps))
        found[at : at + 2] = [_segment(series, found[at].start, found[at + 1].stop)]


def _segment(series: Floats, start: int, stop: int) -> Segment:
    return Segment(start, stop, float(np.median(series[start:stop])))


def _medians(samples: Floats) -> Floats:
    if samples.size == 0:
        raise ValueError("no samples: an empty series has no shape")
    points = min(POINTS, max(samples.size // PER_POINT, FEWEST_POINTS), samples.size)
    whole = samples.size // points
    if whole == 1:
        return samples
    return np.asarray(np.median(samples[samples.size - whole * points :].reshape(-1, whole), axis=1))


def _noise(series: Floats) -> float:
    """Return a robust standard deviation of the noise, at least 0.1 % of the median: clocks are quantised."""
    floor = 1e-3 * abs(float(np.median(series))) or 1e-300
    if series.size < 2:
        return floor
    steps = np.abs(np.diff(series))
    return max(1.4826 * float(np.median(steps)) / math.sqrt(2.0), floor)


def _clipped(series: Floats, noise: float) -> Floats:
    """Clip values to three noise deviations around the median of the five values centred on each."""
    local = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(series, 2, mode="edge"), 5), axis=1)
    return np.clip(series, local - 3.0 * noise, local + 3.0 * noise)


def _partition(series: Floats, penalty: float) -> list[int]:
    """Return the bounds of the cheapest partition, from 0 to n, by dynamic programming over the last change."""
    centred = series - series.mean()
    sums = np.concatenate(([0.0], np.cumsum(centred)))
    squares = np.concatenate(([0.0], np.cumsum(centred**2)))
    best = np.full(series.size + 1, -penalty)
    previous = np.zeros(series.size + 1, dtype=np.int64)
    for stop in range(1, series.size + 1):
        lengths = np.arange(stop, 0, -1)
        costs = squares[stop] - squares[:stop] - (sums[stop] - sums[:stop]) ** 2 / lengths
        totals = best[:stop] + costs + penalty
        previous[stop] = int(np.argmin(totals))
        best[stop] = totals[previous[stop]]
    bounds = [series.size]
    while bounds[-1] > 0:
        bounds.append(int(previous[bounds[-1]]))
    return bounds[::-1]


def _gap(left: Segment, right: Segment, noise: float) -> float:
    """Return the distance of two levels in units of the tolerance for equivalence: 2 % or the noise."""
    tolerance = max(EQUIVALENT * max(abs(left.level), abs(right.level)), noise)
    return abs(left.level - right.level) / tolerance
