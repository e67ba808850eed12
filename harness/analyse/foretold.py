"""What a queueing simulation predicts for the open loops that a run measured: the error of `harness capacity`."""

from typing import NamedTuple

import numpy as np

from harness.analyse.capacity import measured_trials
from harness.analyse.reader import RunReader
from harness.analyse.service import Service, UnderLoad, closed_loop, open_loops, service_under_load
from harness.evidence.run import Cell
from harness.scenarios.base import NS_PER_MS
from harness.spec.metrics import PERCENTILES
from harness.stats.arrivals import NS_PER_S
from harness.stats.queueing import quantile_of
from harness.stats.replicas import BUSIEST, Ask, busy, loads_of


class Foretold(NamedTuple):
    """A percentile of an open loop (ms): as measured, and as predicted in two ways; None where it cannot keep up.

    `own_ms`: from the service times of the same loop, which checks the queue. `rest_ms`: from all other evidence of the
    row (`rest` names it), which checks what a prediction is worth; there it is None too if there is no other.
    """

    cell: Cell
    scenario: str
    rate_per_s: float
    utilisation: float
    measured_ms: float
    own_ms: float | None
    rest_ms: float | None
    rest: tuple[str, ...]
    requests: int
    trials: int


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
    own, latency = service_under_load([loop]), loop.latency
    assert own is not None, "a loop that was served has service times"
    ask = Ask(loop.rate_per_s / NS_PER_S, p, 0.0, own.servers)
    return Foretold(
        cell,
        loop.scenario,
        loop.rate_per_s,
        busy(loads_of(own.processes, seed), ask, 1),
        quantile_of(latency, p) / NS_PER_MS,
        _predicted_ms(own, loop, p, seed),
        None if others is None else _predicted_ms(others, loop, p, seed),
        () if others is None else others.scenarios,
        latency.size,
        len(loop.served),
    )


def _predicted_ms(service: Service, loop: UnderLoad, p: float, seed: int) -> float | None:
    """Predict a loop's percentile, each process at the rate that it had; None where one cannot keep up."""
    parts = []
    for load, served in zip(loads_of(service.processes, seed, service.after_idle), loop.served, strict=False):
        ask = Ask(served.traffic.rate_per_s / NS_PER_S, p, 0.0, service.servers)
        if busy([load], ask, 1) >= BUSIEST:
            return None
        parts.append(load.latencies(1.0 / ask.rate, ask.servers))
    return quantile_of(np.concatenate(parts), p) / NS_PER_MS
