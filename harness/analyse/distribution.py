"""The latency of a cell as a distribution: what part of its requests took how long, with intervals."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.analyse.trials import TrialMetrics
from harness.scenarios.base import NS_PER_MS
from harness.spec.arrays import Array, Floats
from harness.stats.pooled import pooled_quantiles
from harness.stats.quantiles import quantile_index

_POINTS = 60
_BOUNDED = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999)


class Curve(NamedTuple):
    """The latency (ms) that each fraction of the requests in `levels` stays within; `n` requests in all."""

    levels: Floats
    values_ms: Floats
    n: int
    trials: int


class Band(NamedTuple):
    """95 % intervals (ms) of the latency at `levels`; -inf and inf where the evidence bounds nothing."""

    levels: Floats
    low_ms: Floats
    high_ms: Floats


def curve(requests: Sequence[Array]) -> Curve:
    """Return the distribution of the requests (ns) of all trials together, with the tail in even steps of log(1 - p).

    It ends at the level that one request in a hundred thousand is above, or the slowest request.
    """
    pooled = np.concatenate(requests)
    levels = 1.0 - np.logspace(-0.02, -min(np.log10(pooled.size), 5.0), _POINTS)
    places = [quantile_index(pooled.size, float(level)) for level in levels]
    return Curve(levels, np.partition(pooled, places)[places] / NS_PER_MS, int(pooled.size), len(requests))


def band(requests: Sequence[Array], queued: bool = False) -> Band:
    """Return the intervals of the percentiles that so many requests (ns) show; trials are clusters.

    `queued`: they are those of an open loop.
    """
    n = sum(each.size for each in requests)
    levels = [level for level in _BOUNDED if n * (1.0 - level) >= 1.0] or [0.5]
    found = [each for _, each in sorted(pooled_quantiles(requests, levels, queued=queued).items())]
    ends = np.array([(each.low, each.high) for each in found]) / NS_PER_MS
    return Band(np.array(levels), ends[:, 0], ends[:, 1])


def requests_of(trials: Sequence[TrialMetrics], scenario: str) -> list[Array]:
    """Return the latencies (ns) of a scenario's last window in each trial that has one. EvidenceError if damaged."""
    ended = (trial for trial in trials if trial.outcome.status == "ok")
    return [found for trial in ended if (found := trial.latencies(scenario)) is not None]
