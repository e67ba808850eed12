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


def _check(rate_per_s: float, seconds: float) -> None:
    for name, value in (("rate_per_s", rate_per_s), ("seconds", seconds)):
        if not (math.isfinite(value) and value > 0.0):
            raise ValueError(f"{name}: must be above 0 and finite, is {value}")


def _in_ns(offsets_s: Array, seconds: float) -> Integers:
    return np.asarray(np.rint(offsets_s[offsets_s < seconds] * NS_PER_S), dtype=np.int64)
