"""Which throughput a price is put on: that of the ways of running a model which keep a latency limit. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.spec.arrays import Floats


class Way(NamedTuple):
    """A way to run the model, as a batch size: throughput in each block (1/s), and its latency over all of them (ms).

    The ends are those of the interval of the latency percentile; infinite where they are not known.
    """

    throughput_per_s: Floats
    latency_ms: float
    latency_low_ms: float
    latency_high_ms: float


class Sustained(NamedTuple):
    """A sustainable throughput in each block (1/s), by the ways that seem to keep the limit.

    `certain_per_s` is that of the ways that certainly keep it: the same, less, or None where there is none.
    """

    per_s: Floats
    certain_per_s: Floats | None


def sustained(ways: Sequence[Way], limit_ms: float | None) -> Sustained | None:
    """Return the throughput at a latency limit; None where every way certainly breaks it.

    A way seems to keep the limit if the latency's estimate is within it, and certainly keeps it if the upper end is.
    Where none seems to, though some may (the lower end is within it), the one with the least latency counts.
    """
    limit = math.inf if limit_ms is None else limit_ms
    within = [way for way in ways if way.latency_ms <= limit]
    certain = [way for way in within if limit_ms is None or way.latency_high_ms <= limit]
    may = [way for way in ways if way.latency_low_ms <= limit]
    found = _cross_fitted(within or sorted(may, key=lambda way: way.latency_ms)[:1])
    return None if found is None else Sustained(found, _cross_fitted(certain))


def _cross_fitted(ways: Sequence[Way]) -> Floats | None:
    """Return, for each block, its throughput of the way that is fastest in the other blocks (geometric mean).

    Choosing and pricing on the same block would report the luckiest way of each block. A single block does both; what
    it says has no interval.
    """
    if not ways:
        return None
    table: Floats = np.stack([way.throughput_per_s for way in ways])  # [ways, blocks]
    logs = np.log(table)
    others = logs.sum(axis=1, keepdims=True) - logs if table.shape[1] > 1 else logs
    return np.asarray(table[others.argmax(axis=0), np.arange(table.shape[1])])
