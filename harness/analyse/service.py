"""How long requests were served, without waiting for each other: what a queue is predicted from, and compared with."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.analyse.trials import TrialMetrics
from harness.scenarios.base import MeasuredWindow
from harness.scenarios.open_metrics import Served, read_served
from harness.scenarios.server import Server
from harness.scenarios.single_stream import SingleStream
from harness.spec.arrays import Array, Integers
from harness.spec.scenario import Scenario

_FEWEST = 200
"""Requests that found their server idle, or busy, are a kind of their own where a process has so many of each."""


class Service(NamedTuple):
    """Service times (ns) of a cell, one array for each process, and the scenarios that they are from.

    `after_idle` are the times from due to done of requests that found a server idle, where they are known apart: a
    server that slept wakes late and finds its caches cold. `servers` is how many requests a replica serves at once.
    """

    scenarios: tuple[str, ...]
    processes: tuple[Array, ...]
    after_idle: tuple[Array, ...] = ()
    servers: int = 1

    @property
    def measured(self) -> int:
        """How many times there are."""
        return sum(each.size for each in (*self.processes, *self.after_idle))


class UnderLoad(NamedTuple):
    """What a cell served in one open loop, by process. Arrivals are Poisson, requests were not batched."""

    scenario: str
    served: tuple[Served, ...]

    @property
    def rate_per_s(self) -> float:
        """The mean rate over processes."""
        return float(np.mean([each.traffic.rate_per_s for each in self.served]))

    @property
    def latency(self) -> Integers:
        """All latencies (ns)."""
        return np.concatenate([each.latency for each in self.served])


def closed_loop(trials: Sequence[TrialMetrics], scenarios: Sequence[Scenario]) -> Service | None:
    """Return the times of single requests, one after another; None without any. Raises EvidenceError if damaged."""
    for scenario in scenarios:
        if isinstance(scenario, SingleStream):
            found = [latency for trial in trials if (latency := trial.latencies(scenario.name)) is not None]
            if found:
                return Service((scenario.name,), tuple(found))
    return None


def open_loops(trials: Sequence[TrialMetrics], scenarios: Sequence[Scenario]) -> list[UnderLoad]:
    """Return what was served in open loops. Raises EvidenceError if damaged."""
    poisson = [x for x in scenarios if isinstance(x, Server) and x.arrivals == "poisson" and x.trace is None]
    found = [UnderLoad(scenario.name, _served(trials, scenario)) for scenario in poisson]
    return [each for each in found if each.served]


def _served(trials: Sequence[TrialMetrics], scenario: Scenario) -> tuple[Served, ...]:
    windows = [
        MeasuredWindow(window, trial.folder)
        for trial in trials
        for window in trial.windows(scenario.name)[-1:]
        if window.open_loop is not None and window.open_loop.max_batch == 1
    ]
    return tuple(read_served(window) for window in windows)


def service_under_load(loops: Sequence[UnderLoad]) -> Service | None:
    """Return the service times of open loops together; None without any, or where they have different servers.

    Each process has taken part in all of them.
    """
    if not loops or len({each.traffic.servers for loop in loops for each in loop.served}) > 1:
        return None
    by_process = [*zip(*(loop.served for loop in loops), strict=False)]
    names, servers = tuple(loop.scenario for loop in loops), loops[0].served[0].traffic.servers
    idle = [np.concatenate([each.latency[_idle(each)] for each in served]) for served in by_process]
    busy = [np.concatenate([each.service[~_idle(each)] for each in served]) for served in by_process]
    if min(each.size for each in (*idle, *busy)) < _FEWEST:
        return Service(names, tuple(np.concatenate([x.service for x in served]) for served in by_process), (), servers)
    return Service(names, tuple(busy), tuple(idle), servers)


def _idle(served: Served) -> Array:
    """Return which requests found their server idle: it had taken them before they were due."""
    return np.asarray(served.free <= served.due)
