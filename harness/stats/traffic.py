"""When requests of a service arrive over hours, for the simulation of a fleet: sorted seconds, `n` of them. Pure."""

from __future__ import annotations

import numpy as np

from harness.spec.arrays import Floats


def poisson(n: int, per_s: float, rng: np.random.Generator) -> Floats:
    """Return arrivals of a Poisson process: independent exponential gaps of mean 1/rate."""
    return np.asarray(np.cumsum(rng.exponential(1.0 / per_s, n)))


def bursty(
    n: int, calm_per_s: float, burst_per_s: float, calm_s: float, burst_s: float, rng: np.random.Generator
) -> Floats:
    """Return arrivals of a Poisson process whose rate changes between calm and burst (MMPP of two states).

    Calm phases and bursts last exponential times of these means; the first phase is a calm one. Fischer &
    Meier-Hellstern, The Markov-modulated Poisson process cookbook (1993), section 1.
    """
    parts, total, start = list[Floats](), 0, 0.0
    cycle = calm_s * calm_per_s + burst_s * burst_per_s
    while total < n:
        cycles = int((n - total) / cycle) + 16
        lengths = np.column_stack((rng.exponential(calm_s, cycles), rng.exponential(burst_s, cycles))).ravel()
        counts = rng.poisson(lengths * np.tile((calm_per_s, burst_per_s), cycles))
        begins = start + np.concatenate(([0.0], np.cumsum(lengths)[:-1]))
        within = rng.random(int(counts.sum())) * np.repeat(lengths, counts)
        parts.append(np.sort(np.repeat(begins, counts) + within))
        start, total = float(begins[-1] + lengths[-1]), total + int(counts.sum())
    return np.concatenate(parts)[:n]


def repeated(n: int, recorded_s: Floats) -> Floats:
    """Return recorded arrivals over and over, a mean gap between the last and the first again.

    Raises ValueError unless there are two at least, sorted, and not all at once.
    """
    offsets = np.asarray(recorded_s, dtype=np.float64) - recorded_s[0] if len(recorded_s) else np.zeros(0)
    if offsets.size < 2 or not np.all(np.isfinite(offsets)) or bool(np.any(np.diff(offsets) < 0.0)) or offsets[-1] == 0:
        raise ValueError("needs two arrivals at least, sorted, and not all at once")
    length = float(offsets[-1]) * offsets.size / (offsets.size - 1)
    times = -(-n // offsets.size)
    return np.asarray((np.arange(times)[:, None] * length + offsets).ravel()[:n])
