"""When requests arrive in an open loop, drawn before the window: int64 offsets from its start (ns), sorted. Pure.

numpy only: the child draws its own arrivals.
"""

import math
from collections.abc import Sequence

import numpy as np

from harness.spec.arrays import Array, Integers

NS_PER_S = 1_000_000_000


def poisson(rate_per_s: float, seconds: float, rng: np.random.Generator) -> Integers:
    """Return the arrivals of a Poisson process in `seconds`: independent exponential gaps of mean 1/rate.

    Their number varies from draw to draw, as it does for real users, and may be 0. Raises ValueError unless rate and
    seconds are above 0 and finite.
    """
    _check(rate_per_s, seconds)
    expected = rate_per_s * seconds
    chunk = math.ceil(expected + 4.0 * math.sqrt(expected)) + 8
    parts, last = list[Array](), 0.0
    while last < seconds:
        parts.append(last + np.cumsum(rng.exponential(1.0 / rate_per_s, chunk)))
        last = float(parts[-1][-1])
    return _in_ns(np.concatenate(parts), seconds)


def constant(rate_per_s: float, seconds: float) -> Integers:
    """Return arrivals at equal gaps of 1/rate in `seconds`, the first at 0.

    Raises ValueError unless rate and seconds are above 0 and finite.
    """
    _check(rate_per_s, seconds)
    count = max(1, math.ceil(rate_per_s * seconds - 1e-9))
    return _in_ns(np.arange(count, dtype=np.float64) / rate_per_s, seconds)


def trace(timestamps_ns: Integers | Sequence[int]) -> Integers:
    """Return recorded arrivals as offsets from the first of them. Raises ValueError if there is none, or unsorted."""
    found = np.asarray(timestamps_ns, dtype=np.int64)
    if found.ndim != 1 or not found.size:
        raise ValueError("no timestamps")
    back = np.flatnonzero(np.diff(found) < 0)
    if back.size:
        place = int(back[0]) + 1
        raise ValueError(f"timestamps are not sorted: number {place + 1} is before number {place}")
    return np.asarray(found - found[0])


def mean_rate(offsets: Integers) -> float:
    """Return the mean rate of a trace (1/s): arrivals after the first, over the time to the last; 1 where that is 0."""
    lasts_s = float(offsets[-1]) / NS_PER_S
    return (len(offsets) - 1) / lasts_s if lasts_s > 0.0 else 1.0


def lasts_s(offsets: Integers, rate_per_s: float) -> float:
    """Return how long a trace lasts (s) at this mean rate, a mean gap after its last arrival included."""
    return len(offsets) / rate_per_s


def replayed(offsets: Integers, rate_per_s: float, seconds: float, rng: np.random.Generator) -> Integers:
    """Return `seconds` of a trace at this mean rate: all of it from its begin if it fits, else from a random moment on.

    Its end is followed by its begin, one mean gap later. Raises ValueError for a rate or seconds that are none.
    """
    _check(rate_per_s, seconds)
    scaled_s, period_s = offsets / NS_PER_S * (mean_rate(offsets) / rate_per_s), lasts_s(offsets, rate_per_s)
    begin_s = 0.0 if period_s <= seconds else rng.uniform(0.0, period_s)
    rounds = math.ceil((begin_s + seconds) / period_s)
    whole = (np.arange(rounds)[:, None] * period_s + scaled_s).reshape(-1) - begin_s
    return _in_ns(whole[whole >= 0.0], seconds)


def _check(rate_per_s: float, seconds: float) -> None:
    for name, value in (("rate_per_s", rate_per_s), ("seconds", seconds)):
        if not (math.isfinite(value) and value > 0.0):
            raise ValueError(f"{name}: must be above 0 and finite, is {value}")


def _in_ns(offsets_s: Array, seconds: float) -> Integers:
    return np.asarray(np.rint(offsets_s[offsets_s < seconds] * NS_PER_S), dtype=np.int64)
