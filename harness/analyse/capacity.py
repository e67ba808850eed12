"""How many replicas of each row serve a load at a latency limit, and what they cost a month; by its evidence."""

from typing import NamedTuple

import numpy as np

from harness.analyse.reader import RunReader
from harness.analyse.service import Service, closed_loop, open_loops, service_under_load
from harness.analyse.trials import TrialMetrics
from harness.cost.hourly import cost_per_month
from harness.evidence.run import Cell
from harness.scenarios.base import NS_PER_MS
from harness.score.words import number, short_name
from harness.spec.metrics import PERCENTILES
from harness.spec.target import HourlyPrice
from harness.stats.arrivals import NS_PER_S
from harness.stats.pooled import PooledQuantile
from harness.stats.queueing import quantile_of
from harness.stats.replicas import Ask, Dispatch, loads_of, sized


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
    found = [fleet(cell, measured_trials(reader, cell), reader, load) for cell in reader.cells]
    return sorted(found, key=_order)


def fleet(cell: Cell, trials: list[TrialMetrics], reader: RunReader, load: Load) -> Fleet:
    """Predict the fleet of one row, from open loops where there are any. Raises EvidenceError if damaged."""
    scenarios = reader.record.suite.scenario
    service = service_under_load(open_loops(trials, scenarios)) or closed_loop(trials, scenarios)
    if service is None:
        return Fleet(cell, _no_evidence(reader, cell))
    scenario = ", ".join(service.scenarios)
    known = Fleet(cell, scenario=scenario, requests=service.measured, trials=len(service.processes))
    ask = Ask(load.rate_per_s / NS_PER_S, load.p, load.limit_ms * NS_PER_MS, service.servers, load.dispatch)
    loads = loads_of(service.processes, reader.record.seed, service.after_idle)
    needed = sized(loads, service.measured, ask)
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


def in_ms(found: PooledQuantile) -> PooledQuantile:
    """Return a percentile in ns as one in ms."""
    return found._replace(value=found.value / NS_PER_MS, low=found.low / NS_PER_MS, high=found.high / NS_PER_MS)


def measured_trials(reader: RunReader, cell: Cell) -> list[TrialMetrics]:
    """Return the trials of a cell that ended well."""
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
    times = [np.asarray(each) for each in service.after_idle or service.processes]
    alone_ms = quantile_of(np.concatenate(times), load.p) / NS_PER_MS
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
