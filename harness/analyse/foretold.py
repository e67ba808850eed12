"""What a queueing simulation predicts for the open loops that a run measured: the error of `harness capacity`."""

import math
from typing import NamedTuple

from harness.analyse.capacity import measured_trials
from harness.analyse.reader import RunReader
from harness.analyse.service import Service, UnderLoad, closed_loop, open_loops, service_under_load
from harness.evidence.run import Cell
from harness.spec.metrics import PERCENTILES
from harness.stats.arrivals import NS_PER_S
from harness.stats.queueing import Load, quantile_of
from harness.stats.replicas import BUSIEST, Ask, busy, loads_of


class Foretold(NamedTuple):
    """A percentile of an open loop, predicted in two ways: predicted ÷ measured, one ratio for each process.

    `own`: from the service times of the same loop, which checks the queue. `rest`: from all other evidence of the row,
    which `source` names; that checks what a prediction is worth. A ratio is infinite where a queue without an end was
    predicted. Processes are compared one by one: a host changes its speed between them, and a queue near its capacity
    multiplies that.
    """

    cell: Cell
    scenario: str
    rate_per_s: float
    utilisation: float
    own: tuple[float, ...]
    rest: tuple[float, ...]
    source: tuple[str, ...]
    requests: int


def foretold(reader: RunReader, key: str) -> list[Foretold]:
    """Predict a percentile in each open loop of the run. Raises EvidenceError if evidence is damaged."""
    scenarios, found = reader.record.suite.scenario, list[Foretold]()
    for cell in reader.cells:
        trials = measured_trials(reader, cell)
        loops = open_loops(trials, scenarios)
        for loop in loops:
            others = service_under_load([each for each in loops if each is not loop]) or closed_loop(trials, scenarios)
            found.append(_foretold(cell, loop, others, PERCENTILES[key], reader.record.seed))
    return found


def _foretold(cell: Cell, loop: UnderLoad, others: Service | None, p: float, seed: int) -> Foretold:
    own = service_under_load([loop])
    assert own is not None, "a loop that was served has service times"
    return Foretold(
        cell,
        loop.scenario,
        loop.rate_per_s,
        sum(each.load() for each in loop.served) / len(loop.served),
        _ratios(own, loop, p, seed),
        () if others is None else _ratios(others, loop, p, seed),
        () if others is None else others.scenarios,
        sum(each.latency.size for each in loop.served),
    )


def _ratios(service: Service, loop: UnderLoad, p: float, seed: int) -> tuple[float, ...]:
    """Predict a loop's percentile in each process, at the rate that it had; returns predicted ÷ measured."""
    loads = loads_of(service.processes, seed, service.after_idle)
    return tuple(
        _predicted(load, served.traffic.rate_per_s / NS_PER_S, service.servers, p) / quantile_of(served.latency, p)
        for load, served in zip(loads, loop.served, strict=False)
    )


def _predicted(load: Load, rate: float, servers: int, p: float) -> float:
    if busy([load], Ask(rate, p, math.inf, servers), 1) >= BUSIEST:
        return math.inf
    return quantile_of(load.latencies(1.0 / rate, servers), p)
