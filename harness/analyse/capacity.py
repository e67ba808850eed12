"""How many replicas of each row serve a load at a latency limit, and what they cost a month; by its evidence."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.analyse.reader import RunReader
from harness.analyse.service import Service, UnderLoad, service_of, under_load
from harness.analyse.trials import TrialMetrics
from harness.cost.hourly import cost_per_month
from harness.evidence.run import Cell
from harness.scenarios.base import NS_PER_MS
from harness.scenarios.single_stream import SingleStream
from harness.score.words import number, short_name
from harness.spec.metrics import PERCENTILES
from harness.spec.target import HourlyPrice
from harness.stats import queueing
from harness.stats.pooled import PooledQuantile
from harness.stats.replicas import Ask, Dispatch, busy, loads_of, predicted, sized

_NS_PER_S = 1e9


class Load(NamedTuple):
    """What is asked: requests per second, and the percentile (`latency_p99_ms`) that is to be at most `limit_ms`."""

    rate_per_s: float
    key: str
    limit_ms: float
    dispatch: Dispatch = "random"

    @property
    def p(self) -> float:
        """The percentile as a fraction."""
        return PERCENTILES[self.key]


class Fleet(NamedTuple):
    """A row's replicas for the load: their number (with its interval), what they cost, what latency is expected (ms).

    `replicas` is None where the row cannot serve the load or it is not known; `why` says it. `usd_per_month` is None
    without an hourly price. `scenario`, `requests` and `trials` tell what it was predicted from.
    """

    cell: Cell
    why: str = ""
    replicas: int | None = None
    low: int | None = None
    high: int | None = None
    usd_per_month: float | None = None
    latency_ms: PooledQuantile | None = None
    utilisation: float | None = None
    scenario: str = ""
    requests: int = 0
    trials: int = 0


def fleets(reader: RunReader, load: Load) -> list[Fleet]:
    """Return the fleet of every row, cheapest first; rows without a price, then rows that cannot serve, come last."""
    found = [fleet(cell, _measured(reader, cell), reader, load) for cell in reader.cells]
    return sorted(found, key=_order)


def fleet(cell: Cell, trials: list[TrialMetrics], reader: RunReader, load: Load) -> Fleet:
    """Predict the fleet of one row. Raises EvidenceError if its evidence is damaged."""
    service = service_of(trials, reader.record.suite.scenario)
    if service is None:
        return Fleet(cell, _no_evidence(reader, cell))
    known = Fleet(cell, scenario=service.scenario, requests=service.measured, trials=len(service.processes))
    ask = Ask(load.rate_per_s / _NS_PER_S, load.p, load.limit_ms * NS_PER_MS, service.servers, load.dispatch)
    needed = sized(loads_of(service.processes, reader.record.seed), service.measured, ask)
    if needed is None:
        return known._replace(why=_too_slow(service, load))
    return known._replace(
        replicas=needed.replicas,
        low=needed.low,
        high=needed.high,
        usd_per_month=_usd(cell, needed.replicas),
        why="" if _priced(cell) else "no price by the hour",
        latency_ms=in_ms(needed.latency),
        utilisation=needed.utilisation,
    )


class Checked(NamedTuple):
    """A prediction against what an open loop of the run measured: percentiles in ms; None where it cannot keep up."""

    cell: Cell
    scenario: str
    rate_per_s: float
    utilisation: float
    measured_ms: float
    predicted_ms: float | None
    requests: int
    trials: int

    @property
    def error(self) -> float | None:
        """Predicted over measured, less 1."""
        return None if self.predicted_ms is None else self.predicted_ms / self.measured_ms - 1.0


def checks(reader: RunReader, key: str) -> list[Checked]:
    """Predict a percentile in each open loop of the run, from the service times of its closed loop."""
    scenarios = reader.record.suite.scenario
    found = []
    for cell in reader.cells:
        trials = _measured(reader, cell)
        service = service_of(trials, [each for each in scenarios if isinstance(each, SingleStream)])
        if service is not None:
            loads = loads_of(service.processes, reader.record.seed)
            found += [_checked(cell, each, loads, key) for each in under_load(trials, scenarios)]
    return found


def _checked(cell: Cell, seen: UnderLoad, loads: Sequence[queueing.Load], key: str) -> Checked:
    ask = Ask(seen.rate_per_s / _NS_PER_S, PERCENTILES[key], math.inf, seen.servers)
    guess, measured = predicted(loads, 0, ask), np.concatenate(seen.processes)
    return Checked(
        cell,
        seen.scenario,
        seen.rate_per_s,
        busy(loads, ask, 1),
        queueing.quantile_of(measured, PERCENTILES[key]) / NS_PER_MS,
        None if guess is None else guess.value / NS_PER_MS,
        measured.size,
        len(seen.processes),
    )


def in_ms(found: PooledQuantile) -> PooledQuantile:
    """Return a percentile in ns as one in ms."""
    return found._replace(value=found.value / NS_PER_MS, low=found.low / NS_PER_MS, high=found.high / NS_PER_MS)


def _measured(reader: RunReader, cell: Cell) -> list[TrialMetrics]:
    return [trial for trial in reader.trials(cell.name) if trial.outcome.status == "ok"]


def _no_evidence(reader: RunReader, cell: Cell) -> str:
    """Say why there are no service times."""
    prepared = reader.prepared.cells.get(cell.name)
    failed = [trial.outcome.failure for trial in reader.trials(cell.name) if trial.outcome.status != "ok"]
    if prepared is not None and prepared.status != "ok":
        return f"{prepared.failure or prepared.status}: {prepared.why}".splitlines()[0]
    return (
        f"failed: {failed[0]}" if failed else "no trial timed single requests (scenario kind single_stream or server)"
    )


def _too_slow(service: Service, load: Load) -> str:
    """Say that no number of replicas keeps the limit."""
    times = [np.asarray(each) for each in service.processes]
    alone_ms = queueing.quantile_of(np.concatenate(times), load.p) / NS_PER_MS
    return (
        f"no number of replicas: {short_name(load.key)} of single requests, without a queue, is {number(alone_ms)} ms"
    )


def _priced(cell: Cell) -> bool:
    return isinstance(cell.target.price, HourlyPrice)


def _usd(cell: Cell, replicas: int) -> float | None:
    price = cell.target.price
    return cost_per_month(price.usd_per_hour, replicas) if isinstance(price, HourlyPrice) else None


def _order(of: Fleet) -> tuple[bool, bool, float, str]:
    return of.replicas is None, of.usd_per_month is None, of.usd_per_month or float(of.replicas or 0), of.cell.name
