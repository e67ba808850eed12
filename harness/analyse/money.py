"""What a million inferences of a cell cost.

On a machine rented by the hour, by the throughput that the evidence shows to keep the latency limit; where use is
billed, by what one request after another on a warm instance would be billed for.

Where the suite searches the capacity at that limit (scenario kind `capacity`), that is the throughput: requests that
wait for each other count. Otherwise it is that of a closed loop whose requests keep the limit one after another.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from harness.analyse.measures import as_measure
from harness.analyse.requests import pooled
from harness.analyse.trials import TrialMetrics, bounds
from harness.cost.hourly import cost_per_million
from harness.cost.serverless import MONTH_S, Size, Use, per_million, rounded_up
from harness.cost.sustained import Way, sustained
from harness.evidence.run import Cell
from harness.scenarios.capacity import Capacity
from harness.score.records import Measure
from harness.score.words import number
from harness.spec.arrays import Floats
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.metrics import PERCENTILES, lookup
from harness.spec.policy import Policy
from harness.spec.target import ContainerPrice, HourlyPrice, Target, UsagePrice
from harness.stats.across import over_trials

KEY = "cost_per_million_usd"
_MIB_PER_GIB = 1024


class Cost(NamedTuple):
    """USD per million inferences: with its interval, and by block; what is to be said of it."""

    measure: Measure
    by_block: dict[int, float]
    notes: tuple[Diagnostic, ...] = ()


def latency_limit(policy: Policy) -> tuple[str, float | None]:
    """Return the percentile and bound (ms) the policy sets on latency: the highest percentile it bounds."""
    found = bounds(policy)
    key = max((key for key in PERCENTILES if key in found), key=PERCENTILES.__getitem__, default="latency_p99_ms")
    return key, found.get(key)


def at_capacity(
    cell: Cell, capacity: Measure | None, by_block: Mapping[int, float], scenario: Capacity, policy: Policy
) -> Cost | None:
    """Return what a cell costs at its capacity, with the capacity's interval.

    None without an hourly price or a capacity, or where the capacity is that of another percentile than the policy's,
    or of a higher limit.
    """
    price, (key, limit) = cell.target.price, latency_limit(policy)
    fits = limit is None or (key == scenario.key and scenario.limit_ms <= limit)
    if not isinstance(price, HourlyPrice) or capacity is None or not fits:
        return None
    ends = [None if end is None or end <= 0.0 else end for end in (capacity.high, capacity.low)]
    value, low, high = (None if end is None else _usd(price, np.array([end]))[0] for end in (capacity.value, *ends))
    assert value is not None
    measure = msgspec.structs.replace(capacity, value=value, low=low, high=high, unit=lookup(KEY).unit)
    text = f"cost per million is that of the capacity: {number(capacity.value)}/s keep {scenario.percentile}"
    text += f" at most {scenario.limit_ms:g} ms"
    said = diagnostic("cost_at_capacity", text, cell.name, capacity_per_s=capacity.value, limit_ms=scenario.limit_ms)
    costs = _usd(price, np.array([*by_block.values()]))
    return Cost(measure, dict(zip(by_block, costs, strict=True)), (said,))


def cost(cell: Cell, trials: Sequence[TrialMetrics], policy: Policy) -> Cost | None:
    """Return what a cell costs; None without a price, or where every batch size certainly breaks the latency limit.

    The value is by the batch sizes that seem to keep it. Where the fastest of them is not certain to, the upper end is
    the cost by those that are, or open. The interval is then wider than the spread over trials (`basis` "within").
    """
    price, (key, limit) = cell.target.price, latency_limit(policy)
    if price is None:
        return None
    if not isinstance(price, HourlyPrice):
        return _by_use(cell, price, trials)
    found = sustained([_way(trials, window, key, limit) for window in _windows(trials)], limit)
    if found is None:
        return None
    costs = _usd(price, found.per_s)
    by_block = dict(zip((trial.block for trial in trials), costs, strict=True))
    return Cost(_measure(costs, None if found.certain_per_s is None else _usd(price, found.certain_per_s)), by_block)


def size_of(target: Target) -> Size:
    """Return the size of the target's instances; what has no limit counts as nothing."""
    return Size((target.limits.memory_mib or 0) / _MIB_PER_GIB, target.granted.cpus or 0.0)


def _by_use(cell: Cell, price: UsagePrice, trials: Sequence[TrialMetrics]) -> Cost | None:
    """Price warm requests of the first window, each rounded up as it is billed; without arrivals nothing is free.

    None where instances are paid from start to end: without arrivals it is not known how long that is.
    """
    if isinstance(price, ContainerPrice) and price.billing == "instance":
        return None
    costs = [_usd_warm(price, size_of(cell.target), trial) for trial in trials]
    return Cost(_measure(costs, costs), dict(zip((trial.block for trial in trials), costs, strict=True)))


def _usd_warm(price: UsagePrice, size: Size, trial: TrialMetrics) -> float:
    """Price the requests of the first window; in an open loop, without the time that they waited for a server."""
    window = trial.outcome.windows[0]
    own = None if window.open_loop is None else trial.service(window.scenario)
    billed_s = rounded_up((trial.requests(window.name) if own is None else own) / 1e9, price.round_ms)
    use = Use(MONTH_S, len(billed_s), float(billed_s.sum()))
    return per_million(msgspec.structs.replace(price, free_tier=False), size, use) / window.batch_size


def _windows(trials: Sequence[TrialMetrics]) -> list[str]:
    """Return the windows that every trial has: the ways the model was kept busy in every block."""
    names = [{window.name for window in trial.outcome.windows if window.open_loop is None} for trial in trials]
    return [window.name for window in trials[0].outcome.windows if all(window.name in each for each in names)]


def _way(trials: Sequence[TrialMetrics], window: str, key: str, limit: float | None) -> Way:
    throughput = np.array([trial.throughput_per_s(window) for trial in trials])
    if limit is None:
        return Way(throughput, 0.0, 0.0, 0.0)
    latency = pooled([trial.requests(window) for trial in trials], [key])[key]
    return Way(throughput, latency.value, latency.low, latency.high)


def _usd(price: HourlyPrice, per_s: Floats) -> list[float]:
    return [cost_per_million(price.usd_per_hour, each, price.utilisation) for each in per_s.tolist()]


def _measure(costs: list[float], certain: list[float] | None) -> Measure:
    measure = as_measure(KEY, over_trials(costs))
    if len(costs) < 2:
        return msgspec.structs.replace(measure, low=None, high=None)
    if certain == costs:
        return measure
    high = None if certain is None else as_measure(KEY, over_trials(certain)).high
    return msgspec.structs.replace(measure, high=high, basis="within")
