"""How many replicas serve a load at a latency limit, predicted from the service times of measured processes. Pure.

Users arrive as a Poisson process. "random": a balancer sends each request to any replica, so that each has a queue of
its own with Poisson arrivals at rate / replicas. "shared": one queue feeds all. Random needs more; real balancers are
between the two. Each process is simulated by itself, and intervals are over processes, as for measured percentiles.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from harness.spec.arrays import Array, Floats
from harness.stats.across import TrialEstimate, over_trials
from harness.stats.pooled import PooledQuantile, enough, pooled_quantile
from harness.stats.queueing import Load, highest_rate, poisson_load, quantile_of, unqueued

Dispatch = Literal["random", "shared"]
SIMULATED, FEWEST = 240_000, 20_000
"""How many requests are simulated over all processes, and at least for each: 240 of them are above p99.9."""
BUSIEST = 0.999
_DOUBLINGS = 24


class Ask(NamedTuple):
    """A load (requests per unit of the service times' time) and its limit: the p-quantile of latency is at most this.

    Each replica has `servers` that serve at once.
    """

    rate: float
    p: float
    limit: float
    servers: int = 1
    dispatch: Dispatch = "random"


class Sized(NamedTuple):
    """How many replicas, the least and most by the interval over processes (None: not known), and what is expected.

    `latency` is the predicted p-quantile with that many, `utilisation` the fraction of time that their servers work.
    """

    replicas: int
    low: int | None
    high: int | None
    latency: PooledQuantile
    utilisation: float


def loads_of(processes: Sequence[Array], seed: int, after_idle: Sequence[Array] = ()) -> list[Load]:
    """Draw what is simulated for each process: the same arrivals and service times for every question.

    `after_idle` are the times of requests that found a server idle, by process, where they are known apart.
    """
    count = max(FEWEST, SIMULATED // max(len(processes), 1))
    known: Sequence[Array | None] = after_idle or [None] * len(processes)
    pairs = enumerate(zip(processes, known, strict=True))
    return [poisson_load(busy, count, np.random.default_rng([seed, k]), idle) for k, (busy, idle) in pairs]


def predicted(loads: Sequence[Load], measured: int, ask: Ask) -> PooledQuantile | None:
    """Return the p-quantile of latency that one replica shows at a rate, with its interval over processes.

    `measured` is how many service times the loads were drawn from: where they would not bound the percentile, the upper
    end is open. None where the servers could not keep up. The limit is not used.
    """
    if busy(loads, ask, 1) >= BUSIEST:
        return None
    found = pooled_quantile([load.latencies(1.0 / ask.rate, ask.servers) for load in loads], ask.p, queued=True)
    return found if enough(measured, len(loads), ask.p) else found._replace(high=math.inf)


def busy(loads: Sequence[Load], ask: Ask, replicas: int) -> float:
    """Return the fraction of time that the servers of all replicas work."""
    mean = float(np.mean([load.service.mean() for load in loads]))
    return ask.rate * mean / (ask.servers * replicas)


def sized(loads: Sequence[Load], measured: int, ask: Ask) -> Sized | None:
    """Return the fewest replicas that keep the limit; None where no number of them does.

    That is so where the service times alone break it: a replica that has nothing else to do is already too slow.
    """
    count = _fewest(loads, ask)
    if count is None:
        return None
    low, high = _ends([_fewest_as_float([load], ask) for load in loads])
    one = ask._replace(rate=ask.rate / count) if ask.dispatch == "random" else ask._replace(servers=ask.servers * count)
    latency = predicted(loads, measured, one)
    assert latency is not None, "replicas that keep a limit keep up"
    return Sized(count, low, high, latency, busy(loads, ask, count))


def _ends(counts: Sequence[float]) -> tuple[int | None, int | None]:
    """Return the whole numbers around the interval of the processes' own counts; None where it is open."""
    if not all(map(math.isfinite, counts)):
        return None, None
    found: TrialEstimate = over_trials(counts)
    return (
        math.ceil(found.low) if found.low > 0.0 else None,
        math.ceil(found.high) if math.isfinite(found.high) else None,
    )


def _fewest(loads: Sequence[Load], ask: Ask) -> int | None:
    found = _fewest_as_float(loads, ask)
    return math.ceil(found) if math.isfinite(found) else None


def _fewest_as_float(loads: Sequence[Load], ask: Ask) -> float:
    """Return how many replicas are needed, with its fraction where queues are apart; infinite where none suffice."""
    if ask.dispatch == "random":
        rate = highest_rate(loads, ask.p, ask.limit, ask.servers)
        return ask.rate / rate if rate > 0.0 else math.inf
    if _quantile([*map(unqueued, loads)], ask.p) > ask.limit:
        return math.inf
    return float(_fewest_sharing(loads, ask))


def _fewest_sharing(loads: Sequence[Load], ask: Ask) -> int:
    """Bisect the number of replicas that serve one queue."""
    low = math.floor(busy(loads, ask, 1) / BUSIEST)
    high = low + 1
    for _ in range(_DOUBLINGS):
        if _keeps(loads, ask, high):
            break
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _keeps(loads, ask, middle) else (middle, high)
    return high


def _keeps(loads: Sequence[Load], ask: Ask, replicas: int) -> bool:
    latencies = [load.latencies(1.0 / ask.rate, ask.servers * replicas) for load in loads]
    return _quantile(latencies, ask.p) <= ask.limit


def _quantile(parts: Sequence[Floats], p: float) -> float:
    return quantile_of(np.concatenate(parts), p)
