"""Did a process warm up, slow down or never settle? The shape of a run, by change points.

After Barrett et al., "Virtual Machine Warmup Blows Hot and Cold" (OOPSLA 2017): split the series where its
mean shifts, merge what is equivalent, and look at the last segments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

POINTS = 2_000  # at most this many medians are segmented
PER_POINT = 10  # samples behind a median, as far as the series is long enough
FEWEST_POINTS = 50
PENALTY = 15.0  # times log(points), per change point: as in Barrett et al.
EQUIVALENT = 0.02  # segments whose means are this close are one state
LAST_SHARE = 0.25  # the final state must have lasted this share of the run

Shape: TypeAlias = Literal["flat", "warmup", "slowdown", "no_steady_state"]
Floats: TypeAlias = npt.NDArray[np.float64]


class Segment(NamedTuple):
    """Points [start, stop) of a series with the mean they share, in the series' unit."""

    start: int
    stop: int
    mean: float


def classify(samples: npt.NDArray[Any] | Sequence[float]) -> Shape:
    """Name the shape of a series in time order: "flat", "warmup", "slowdown" or "no_steady_state".

    flat: one state throughout. warmup: the state it ends in is its fastest. slowdown: it was faster before.
    no_steady_state: the state it ends in has lasted less than a quarter of the run.
    Up to 2,000 medians of consecutive samples are segmented, so that single outliers do not matter.
    Raises `ValueError` for an empty series.
    """
    series = _medians(np.asarray(samples, dtype=np.float64))
    states = segments(series)
    if len(states) == 1:
        return "flat"
    last = states[-1]
    if last.stop - last.start < LAST_SHARE * series.size:
        return "no_steady_state"
    return "warmup" if last.mean <= min(each.mean for each in states) else "slowdown"


def segments(series: Floats) -> list[Segment]:
    """Split a series where its mean shifts and merge neighbours within 2 % or within its noise.

    Exact least-squares partitioning (Jackson et al. 2005, the recursion that PELT prunes) with a penalty of
    15 log n noise variances per change. Noise is the MAD of first differences, which shifts do not inflate,
    and values far from their neighbourhood are clipped first, so that heavy tails make no segments.
    """
    noise = _noise(series)
    clipped = _clipped(series, noise)
    penalty = PENALTY * math.log(max(series.size, 2)) * noise**2
    bounds = _partition(clipped, penalty)
    found = [Segment(start, stop, float(np.median(series[start:stop]))) for start, stop in pairwise(bounds)]
    return _merged(found, series, noise)


def _medians(samples: Floats) -> Floats:
    if samples.size == 0:
        raise ValueError("no samples: an empty series has no shape")
    points = min(POINTS, max(samples.size // PER_POINT, FEWEST_POINTS), samples.size)
    whole = samples.size // points
    usable = samples[samples.size - whole * points :] if whole > 1 else samples
    return np.asarray(np.median(usable.reshape(-1, whole), axis=1) if whole > 1 else usable, dtype=np.float64)


def _noise(series: Floats) -> float:
    """Give a robust standard deviation of the noise, at least 0.1 % of the median: clocks are quantised."""
    floor = 1e-3 * abs(float(np.median(series))) or 1e-300
    if series.size < 2:
        return floor
    steps = np.abs(np.diff(series))
    return max(1.4826 * float(np.median(steps)) / math.sqrt(2.0), floor)


def _clipped(series: Floats, noise: float) -> Floats:
    """Pull values back to within three noise deviations of the median of their five neighbours."""
    reach = 2
    padded = np.pad(series, reach, mode="edge")
    local = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=1)
    return np.clip(series, local - 3.0 * noise, local + 3.0 * noise)


def _partition(series: Floats, penalty: float) -> list[int]:
    """Give the bounds of the cheapest partition, from 0 to n, by dynamic programming over the last change."""
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


def _merged(found: Sequence[Segment], series: Floats, noise: float) -> list[Segment]:
    """Join neighbours that are equivalent, the closest first, until none are."""
    states = list(found)
    while len(states) > 1:
        gaps = [_gap(left, right, noise) for left, right in pairwise(states)]
        closest = int(np.argmin(gaps))
        if gaps[closest] > 1.0:
            break
        start, stop = states[closest].start, states[closest + 1].stop
        states[closest : closest + 2] = [Segment(start, stop, float(np.median(series[start:stop])))]
    return states


def _gap(left: Segment, right: Segment, noise: float) -> float:
    """Give the distance of two means in units of what counts as equivalent: 2 % or the noise."""
    tolerance = max(EQUIVALENT * max(abs(left.mean), abs(right.mean)), noise)
    return abs(left.mean - right.mean) / tolerance
