"""Latency against load: what requests took at each arrival rate that a row was offered."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from harness.analyse.trials import TrialMetrics
from harness.scenarios.base import NS_PER_MS
from harness.spec.arrays import Array
from harness.stats.pooled import pooled_quantiles

_ALIKE = 1.1
"""Rates up to this many times the lowest of them are one point; a search tries other ones in each trial."""


class Offered(NamedTuple):
    """One window of an open loop: the rate of arrivals, and the latency (ns) of each request, in one trial."""

    rate_per_s: float
    trial: int
    latency_ns: Array


class LoadPoint(NamedTuple):
    """Latency (ms) at a rate: its median, and p99 with its interval (infinite where the evidence bounds no end)."""

    rate_per_s: float
    p50_ms: float
    p99_ms: float
    low_ms: float
    high_ms: float
    n: int
    trials: int


def load_points(offered: Iterable[Offered]) -> list[LoadPoint]:
    """Return latency by rate, lowest first; the windows of one trial at like rates are one cluster."""
    groups: list[list[Offered]] = []
    for each in sorted((each for each in offered if each.latency_ns.size), key=lambda each: each.rate_per_s):
        if not groups or each.rate_per_s > _ALIKE * groups[-1][0].rate_per_s:
            groups.append([])
        groups[-1].append(each)
    return [*map(_point, groups)]


def _point(group: Sequence[Offered]) -> LoadPoint:
    trials: dict[int, list[Array]] = {}
    for each in group:
        trials.setdefault(each.trial, []).append(each.latency_ns)
    found = pooled_quantiles([np.concatenate(each) for each in trials.values()], (0.5, 0.99), queued=True)
    rate = math.exp(math.fsum(math.log(each.rate_per_s) for each in group) / len(group))
    p50, (value, low, high, *_) = found[0.5].value, found[0.99]
    n = sum(each.latency_ns.size for each in group)
    return LoadPoint(rate, p50 / NS_PER_MS, value / NS_PER_MS, low / NS_PER_MS, high / NS_PER_MS, n, len(trials))


def offered_of(trials: Iterable[TrialMetrics], scenario: str) -> list[Offered]:
    """Return the windows of a scenario that were open loops. Raises EvidenceError if their requests are damaged."""
    found = []
    for trial in trials:
        for window in trial.windows(scenario):
            loop = window.open_loop
            if loop is not None and trial.outcome.status == "ok":
                found.append(Offered(loop.rate_per_s, trial.block, trial.requests(window.name)))
    return found
