"""Queues: when requests are done, formulas that check it, and what a queue makes of measured service times. Pure.

First come, first served; arrivals and service times in one unit of time (int64 ns: exact). Needs numpy only: the child
predicts the rates it tries. Service times of a process are not independent (a host has slow spells), so they are
resampled in whole stretches.
"""

import heapq
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.spec.arrays import Array, Floats
from harness.stats.quantiles import check_fraction, quantile_index

STRETCHES = 16
"""A stretch is a sixteenth of a process's requests: it holds its slow spells, and there are enough of them to vary."""
SHORTEST_STRETCH = 64
_STEPS = 40
_FULL = 0.999
"""The utilisation up to which a rate is looked for: a queue has no steady state from 1 on."""


def completions(due: Array, service: Array, servers: int = 1) -> Array:
    """Return when each request is done: it starts when it is due and one of the servers is free, in order of arrival.

    `due` ascends; one server: along the last axis, any shape. Lindley's recursion (Proc. Camb. Phil. Soc. 48, 1952):
    done[i] = max(due[i], done[i-1]) + service[i], which is S[i] + max over j <= i of (due[j] - S[j-1]) with
    S = cumsum(service). Several servers: Kiefer and Wolfowitz (Trans. AMS 78, 1955). Raises ValueError for none.
    """
    if servers < 1:
        raise ValueError(f"a queue needs a server at least, not {servers}")
    if servers == 1:
        busy = np.cumsum(service, axis=-1)
        return np.asarray(busy + np.maximum.accumulate(due - (busy - service), axis=-1))
    free, done = [due[0].item()] * servers if due.size else [], []
    for arrival, took in zip(due.tolist(), service.tolist(), strict=True):
        done.append(max(arrival, free[0]) + took)
        heapq.heapreplace(free, done[-1])
    return np.array(done, dtype=np.result_type(due, service))


def mean_wait_md1(utilisation: float, service: float) -> float:
    """Return the mean wait of a queue with Poisson arrivals and equal service times: rho s / (2 (1 - rho)).

    Pollaczek and Khinchine; Kleinrock, Queueing Systems I (1975), 5.6. Raises ValueError unless 0 < rho < 1.
    """
    check_fraction(utilisation, "utilisation")
    return utilisation * service / (2.0 * (1.0 - utilisation))


def stalled_quantile(p: float, stall: float, period: float, utilisation: float) -> float:
    """Return the p-quantile of latency where a server is frozen once, for `stall`, while `period` is observed.

    Arrivals at a constant rate; the queue that has grown drains at the rate (1 - rho) / rho. Requests due at x after
    the stall's begin wait stall - x (1 - rho): a fraction 1-p of the period lies above D - (1-p) R (1-rho). Small
    beside that is what a request takes itself, which is not included. Raises ValueError where p is below the requests
    that the stall delays.
    """
    check_fraction(p, "p")
    found = stall - (1.0 - p) * period * (1.0 - utilisation)
    if found <= 0.0:
        raise ValueError(f"p = {p}: a stall of {stall} in {period} does not reach this quantile")
    return found


def resampled(service: Array, count: int, rng: np.random.Generator) -> Array:
    """Return `count` service times of one process: stretches of it, each from a random place on, round its end.

    Raises ValueError where there are no service times.
    """
    if not service.size:
        raise ValueError("no service times")
    length = max(service.size // STRETCHES, min(SHORTEST_STRETCH, service.size))
    begins = rng.integers(service.size, size=(math.ceil(count / length), 1))
    places = (begins + np.arange(length)) % service.size
    return np.asarray(service[places.reshape(-1)[:count]])


def completions_after_idle(due: Array, service: Array, after_idle: Array, servers: int = 1) -> Array:
    """Return what `completions` does, where a request that finds a server idle takes its time of `after_idle`.

    A server that slept wakes late, and finds caches and clocks cold. One after another, since each depends on the last.
    """
    free, done = [-math.inf] * servers, []
    for arrival, busy, idle in zip(due.tolist(), service.tolist(), after_idle.tolist(), strict=True):
        first = free[0]
        done.append(arrival + idle if first <= arrival else first + busy)
        heapq.heapreplace(free, done[-1])
    return np.array(done, dtype=np.result_type(due, service))


class Load(NamedTuple):
    """Requests to simulate: arrivals at a mean gap of 1, and what each takes. The same ones at every rate.

    With common numbers, each latency grows with the rate, and so does every quantile: it can be bisected. `after_idle`
    is what each takes, from when it is due, if a server is idle then; None: the same.
    """

    arrivals: Floats
    service: Floats
    after_idle: Floats | None = None

    def latencies(self, gap: float, servers: int = 1) -> Floats:
        """Return done - due of each request at this mean gap, in the unit of the service times."""
        due = self.arrivals * gap
        if self.after_idle is None:
            return np.asarray(completions(due, self.service, servers) - due)
        return np.asarray(completions_after_idle(due, self.service, self.after_idle, servers) - due)


def poisson_load(service: Array, count: int, rng: np.random.Generator, after_idle: Array | None = None) -> Load:
    """Draw Poisson arrivals and resampled service times for `count` requests; ValueError without service times."""
    arrivals, busy = np.cumsum(rng.exponential(1.0, count)), resampled(service, count, rng).astype(np.float64)
    return Load(arrivals, busy, None if after_idle is None else resampled(after_idle, count, rng).astype(np.float64))


def utilisation(rate: float, service: Array, servers: int = 1) -> float:
    """Return the fraction of time that the servers are busy: rate times mean service time, per server."""
    return rate * float(service.mean()) / servers


def unqueued(load: Load) -> Floats:
    """Return what requests take that find a server idle."""
    return load.service if load.after_idle is None else load.after_idle


def quantile_of(latencies: Array, p: float) -> float:
    """Return the p-quantile of unsorted latencies."""
    index = quantile_index(latencies.size, p)
    return float(np.partition(latencies, index)[index])


def highest_rate(loads: Sequence[Load], p: float, limit: float, servers: int = 1) -> float:
    """Return the highest rate at which the p-quantile of all loads' latencies is at most `limit`; 0 if none is.

    In requests per unit of time; bisected on the logarithm to 0.01 %. 0: the service times alone break the limit.
    """
    mean, alone = float(np.mean([load.service.mean() for load in loads])), [*map(unqueued, loads)]

    def keeps(rate: float) -> bool:
        found = np.concatenate([load.latencies(1.0 / rate, servers) for load in loads])
        return quantile_of(found, p) <= limit

    if quantile_of(np.concatenate(alone), p) > limit:
        return 0.0
    low, high = 1e-6 * servers / mean, _FULL * servers / mean
    if not keeps(low):
        return 0.0
    if keeps(high):
        return high
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if keeps(middle) else (low, middle)
        if high < low * 1.0001:
            break
    return low
