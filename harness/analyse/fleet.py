"""What users of a cell's fleet see, and what the fleet costs: the metrics of a scenario of kind `fleet`."""

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy import special

from harness.analyse.money import KEY as PER_MILLION
from harness.analyse.money import size_of
from harness.analyse.starts import Start
from harness.analyse.trials import TrialMetrics
from harness.analyse.users import Simulated, share_kept, simulate, times_for
from harness.cost.serverless import MONTH_S, Bill, Use, monthly, rounded_up
from harness.evidence.run import Cell
from harness.scenarios.fleet import Users
from harness.score.records import Basis, Measure
from harness.spec.arrays import Booleans, Floats
from harness.spec.metrics import PERCENTILES, lookup
from harness.spec.suite import Suite
from harness.spec.target import HourlyPrice, UsagePrice
from harness.stats.clustered import Mean, mean, quantile

RATE, PER_MONTH = "cold_start_rate", "cost_per_month_usd"
_BATCHES = 20
_MILLION = 1e6
_MS = 1e3
Ends: TypeAlias = tuple[float | None, float | None]


class Fleet(NamedTuple):
    """A simulated fleet and its metrics: those of the scenario without its name, and those of the cell."""

    simulated: Simulated
    scenario: dict[str, Measure]
    cell: dict[str, Measure]


def users_of(suite: Suite) -> Users | None:
    """Return the scenario of a suite that has users; None where it has none."""
    return next((each for each in suite.scenario if isinstance(each, Users)), None)


def fleet_of(
    cell: Cell, users: Users, trials: Sequence[TrialMetrics], starts: Sequence[Start], seed: int
) -> Fleet | None:
    """Serve a suite's users by a cell's fleet; None where nothing is known of its cold starts."""
    times = times_for(cell.target, trials, starts)
    if times is None or not len(times.warm_s):
        return None
    found = simulate(cell, times, users, seed)
    return Fleet(found, latencies(found) | {RATE: cold_rate(found)}, _costs(cell, found))


def latencies(of: Simulated) -> dict[str, Measure]:
    """Return every percentile of what users see (ms), with the interval that the measured times allow."""
    strata = of.strata(of.served.latency_s * _MS)
    found = {key: quantile(strata, p) for key, p in PERCENTILES.items()}
    return {
        key: Measure(
            value=each.value,
            low=_end(each.low),
            high=_end(each.high),
            n=sum(stratum.measured for stratum in strata),
            trials=of.times.processes,
            unit="ms",
            basis="simulated",
            effective_n=each.effective_n,
        )
        for key, each in found.items()
    }


def cold_rate(of: Simulated) -> Measure:
    """Return the fraction of requests that started an instance, with the interval of so long a simulation.

    By the spread of 20 parts of it; where none was cold, at most 3 in so many (95 %).
    """
    cold, n = of.served.cold, len(of.served.cold)
    if not len(of.times.cold_s):
        return _measure(RATE, 0.0, (0.0, 0.0), n, 1, "exact")
    ends = _spread(cold) if cold.any() else (0.0, 3.0 / n)
    return _measure(RATE, of.served.cold_rate, ends, n, of.times.processes)


def _spread(cold: Booleans) -> tuple[float, float]:
    parts = np.array([part.mean() for part in np.array_split(cold, _BATCHES)])
    half = float(special.stdtrit(_BATCHES - 1, 0.975)) * float(parts.std(ddof=1)) / math.sqrt(_BATCHES)
    return max(0.0, float(cold.mean()) - half), min(1.0, float(cold.mean()) + half)


def _costs(cell: Cell, of: Simulated) -> dict[str, Measure]:
    """Return the costs per month and per million requests at the users' rate; empty without a price."""
    price = cell.target.price
    if price is None:
        return {}
    if isinstance(price, HourlyPrice):
        month = of.rules.provisioned * price.usd_per_hour * MONTH_S / 3600
        return _both(of, month, (month, month), "exact")
    try:
        bill = monthly(price, size_of(cell.target), use_of(of, price))
    except ValueError:  # kept instances without a price
        return {}
    return _by_use(bill, of, mean(of.strata(billed_each(of, price))))


def month_of(cell: Cell, of: Simulated) -> float | None:
    """Return the cost of a month; None without a price."""
    found = _costs(cell, of)
    return found[PER_MONTH].value if found else None


def _by_use(bill: Bill, of: Simulated, billed: Mean) -> dict[str, Measure]:
    """Return a bill whose compute is as uncertain as the mean of what requests are billed for."""
    if math.isinf(billed.error):
        return _both(of, bill.total, (None, None))
    low, high = (max(0.0, bill.total + bill.compute * (end / billed.value - 1.0)) for end in billed.ends())
    return _both(of, bill.total, (low, high))


def _both(of: Simulated, month: float, ends: Ends, basis: Basis = "simulated") -> dict[str, Measure]:
    """Return the cost of a month with its interval, and the same per million requests."""
    n, processes = len(of.arrivals_s), of.times.processes
    scales = {PER_MONTH: 1.0, PER_MILLION: _MILLION / (n / of.span_s * MONTH_S)}
    low, high = ends
    return {
        key: _measure(key, month * scale, (low and low * scale, high and high * scale), n, processes, basis)
        for key, scale in scales.items()
    }


def billed_each(of: Simulated, price: UsagePrice) -> Floats:
    """Return the seconds that each request is billed for, as if it were alone on its instance."""
    return rounded_up(of.drawn(of.times.warm_s, of.times.cold_billed_s), price.round_ms)


def use_of(of: Simulated, price: UsagePrice) -> Use:
    """Return what the fleet used: busy stretches of instances, rounded up as they are billed."""
    own, kept = of.drawn(of.times.warm_s, of.times.cold_billed_s), share_kept(of)
    stretches = rounded_up(np.asarray(np.bincount(of.served.stretch, weights=own), np.float64), price.round_ms)
    on_kept = np.zeros(len(stretches), dtype=np.bool_)
    on_kept[of.served.stretch] = kept
    return Use(
        span_s=of.span_s,
        requests=len(own),
        billed_s=float(stretches[~on_kept].sum()),
        alive_s=of.served.alive_s,
        kept_billed_s=float(stretches[on_kept].sum()),
        kept_s=of.rules.provisioned * of.span_s,
    )


def _end(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _measure(key: str, value: float, ends: Ends, n: int, trials: int, basis: Basis = "simulated") -> Measure:
    return Measure(value=value, low=ends[0], high=ends[1], n=n, trials=trials, unit=lookup(key).unit, basis=basis)
