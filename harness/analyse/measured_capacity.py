"""The capacity that a run measured, and what service times predict for it."""

from collections.abc import Iterator
from typing import NamedTuple

from harness.analyse.capacity import measured_trials
from harness.analyse.measures import CAPACITY, measured
from harness.analyse.reader import RunReader
from harness.analyse.service import Service, closed_loop, open_loops, service_under_load
from harness.evidence.run import Cell
from harness.scenarios.capacity import Capacity
from harness.score.records import Measure
from harness.stats.across import TrialEstimate, over_trials
from harness.stats.arrivals import NS_PER_S
from harness.stats.queueing import highest_rate
from harness.stats.replicas import loads_of


class MeasuredCapacity(NamedTuple):
    """The highest rate (1/s) of one process of a cell, as a scenario measured it and as service times predict it.

    `predicted` is None where nothing but that scenario timed requests; `source` names the scenarios it is from.
    """

    cell: Cell
    scenario: Capacity
    found: Measure
    predicted: TrialEstimate | None
    source: tuple[str, ...]


def measured_capacities(reader: RunReader) -> list[MeasuredCapacity]:
    """Return each capacity that the run measured. Raises EvidenceError if evidence is damaged."""
    suite = reader.record.suite
    kinds = [each for each in suite.scenario if isinstance(each, Capacity)]
    return [each for cell in reader.cells if kinds for each in _of_cell(reader, cell, kinds)]


def _of_cell(reader: RunReader, cell: Cell, kinds: list[Capacity]) -> Iterator[MeasuredCapacity]:
    trials, suite = measured_trials(reader, cell), reader.record.suite
    if not trials:
        return
    metrics = measured(trials).metrics
    service = service_under_load(open_loops(trials, suite.scenario)) or closed_loop(trials, suite.scenario)
    for kind in kinds:
        key = CAPACITY if kind.name == suite.traffic[0].name else f"{kind.name}.{CAPACITY}"
        if (found := metrics.get(key)) is not None:
            rows = trials[0].windows(kind.name)[0].batch_size
            predicted = None if service is None else _predicted(service, kind, rows, reader.record.seed)
            yield MeasuredCapacity(cell, kind, found, predicted, () if service is None else service.scenarios)


def _predicted(service: Service, kind: Capacity, rows: int, seed: int) -> TrialEstimate | None:
    """Predict the highest rate of each process; None where the service times of one alone break the limit."""
    loads = loads_of(service.processes, seed, service.after_idle)
    rates = [highest_rate([load], kind.p, kind.limit_ns, kind.serving) * NS_PER_S * rows for load in loads]
    return over_trials(rates) if min(rates) > 0.0 else None
