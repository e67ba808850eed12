"""How long requests were served, without waiting: what a queue is predicted from, and what it is compared with."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from harness.analyse.trials import TrialMetrics
from harness.scenarios.base import MeasuredWindow
from harness.scenarios.open_metrics import Served, read_served
from harness.scenarios.server import Server
from harness.scenarios.single_stream import SingleStream
from harness.spec.arrays import Array
from harness.spec.scenario import Scenario


class Service(NamedTuple):
    """Service times (ns) of a cell, one array for each process, and the scenario that they are from.

    `servers` is how many requests a replica of the cell serves at once.
    """

    scenario: str
    processes: tuple[Array, ...]
    servers: int = 1

    @property
    def measured(self) -> int:
        """How many service times there are."""
        return sum(each.size for each in self.processes)


class UnderLoad(NamedTuple):
    """Latencies (ns) of a cell in an open loop, one array for each process, at a mean rate over them (1/s)."""

    scenario: str
    rate_per_s: float
    servers: int
    processes: tuple[Array, ...]


def service_of(trials: Sequence[TrialMetrics], scenarios: Sequence[Scenario]) -> Service | None:
    """Return the service times of single requests of a closed loop, else those of an open loop; None without any.

    In a closed loop a request's latency is its service time. Requests that were served in batches are left out. Raises
    EvidenceError if evidence is damaged.
    """
    for scenario in scenarios:
        if isinstance(scenario, SingleStream):
            found = [latency for trial in trials if (latency := trial.latencies(scenario.name)) is not None]
            if found:
                return Service(scenario.name, tuple(found))
    for name, served in _open_loops(trials, scenarios):
        return Service(name, tuple(each.service for each in served), served[0].traffic.servers)
    return None


def under_load(trials: Sequence[TrialMetrics], scenarios: Sequence[Scenario]) -> list[UnderLoad]:
    """Return what was measured in open loops with Poisson arrivals, without batches; EvidenceError if damaged."""
    poisson = [x for x in scenarios if isinstance(x, Server) and x.arrivals == "poisson" and x.trace is None]
    return [
        UnderLoad(
            name,
            float(np.mean([each.traffic.rate_per_s for each in served])),
            served[0].traffic.servers,
            tuple(each.latency for each in served),
        )
        for name, served in _open_loops(trials, poisson)
    ]


def _open_loops(trials: Sequence[TrialMetrics], scenarios: Sequence[Scenario]) -> Iterator[tuple[str, list[Served]]]:
    """Yield each scenario `server`, with what every trial served one request at a time."""
    for scenario in scenarios:
        windows = [
            MeasuredWindow(window, trial.folder)
            for trial in trials
            for window in trial.windows(scenario.name)[-1:]
            if isinstance(scenario, Server) and window.open_loop is not None and window.open_loop.max_batch == 1
        ]
        if windows:
            yield scenario.name, [read_served(window) for window in windows]
