"""What an open loop's evidence says: latency under load, how busy the servers were, how honest the generator was.

The check: first come, first served, on the realised schedule and service times (Lindley's recursion), predicts what
each latency would be if every request had been started in time. What was measured beyond that is the generator's.
"""

from typing import NamedTuple

import numpy as np

from harness.errors import EvidenceError
from harness.evidence.folder import BATCH, DUE, FREE, START
from harness.scenarios.base import NS_PER_MS, MeasuredWindow, ScenarioMetrics, percentiles
from harness.spec.arrays import Array
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.outcome import OpenLoop
from harness.stats.batching import Batches, closes, completions_in_batches
from harness.stats.quantiles import quantile_index
from harness.stats.queueing import completions

GENERATOR_BOUND = 0.05
"""A trial is flagged where late starts made p50 or p99 longer by more than this fraction."""
FULL = 1.0
"""The load from which on a queue grows without bound: arrivals bring more work than the servers can do."""
_BOUND_AT = (0.5, 0.99)


class Served(NamedTuple):
    """The requests of an open loop, in the order they were due: when due, taken, started; latency (ns); batch."""

    due: Array
    free: Array
    start: Array
    latency: Array
    batch: Array | None
    traffic: OpenLoop

    @property
    def service(self) -> Array:
        """How long each request was served (ns)."""
        return np.asarray(self.latency - (self.start - self.due))

    @property
    def batches(self) -> Batches:
        """The batches that requests were served in; one request each where there is no batching."""
        return Batches.of(np.arange(len(self.due)) if self.batch is None else self.batch, self.service)

    def busy_ns(self) -> float:
        """Return how long all servers together served."""
        return float(self.batches.took.sum())

    def load(self) -> float:
        """Return the work that arrives per time and server: the rate, times what a request costs."""
        return self.traffic.rate_per_s * self.busy_ns() / 1e9 / len(self.due) / self.traffic.servers

    def lateness(self) -> Array:
        """Return how late the servers that had waited for their request, or for its batch to close, started it (ns)."""
        batches, traffic = self.batches, self.traffic
        free = self.free[batches.first]
        ready = closes(self.due, batches, np.zeros_like(free), traffic.max_batch, traffic.max_wait_ns)
        return np.asarray((self.start[batches.first] - ready)[free <= ready])

    def predicted(self) -> Array:
        """Return the latency (ns) of each request if servers had started every one in time."""
        if self.batch is None:
            return np.asarray(completions(self.due, self.service, self.traffic.servers) - self.due)
        traffic = self.traffic
        done = completions_in_batches(self.due, self.batches, traffic.servers, traffic.max_batch, traffic.max_wait_ns)
        return np.asarray(done - self.due)


def read_served(window: MeasuredWindow) -> Served:
    """Read a window's requests. Raises EvidenceError if they are damaged, or are not those of an open loop."""
    traffic = window.record.open_loop
    if traffic is None:
        raise EvidenceError(f"{window.folder}: window {window.record.name} is not that of an open loop")
    due, free, start = (window.requests(name) for name in (DUE, FREE, START))
    batch = window.requests(BATCH) if traffic.max_batch > 1 else None
    return Served(due, free, start, window.requests(), batch, traffic)


def open_metrics(window: MeasuredWindow) -> ScenarioMetrics:
    """Return the metrics of a window of an open loop; no latency where the load cannot be served."""
    served, record = read_served(window), window.record
    traffic, n = served.traffic, record.samples
    values = {
        "throughput_per_s": record.batch_size * n / (record.elapsed_ns / 1e9),
        "offered_per_s": traffic.offered / traffic.seconds,
        "utilisation": served.busy_ns() / traffic.servers / record.elapsed_ns,
        "service_mean_ms": served.busy_ns() / len(served.batches.took) / NS_PER_MS,
    }
    if traffic.max_batch > 1:
        values["mean_batch_size"] = n / len(served.batches.took)
    predicted = served.predicted()
    values |= _of_generator(served, predicted)
    if (saturated := _saturated(served, values, record.scenario)) is not None:
        return ScenarioMetrics(values, {}, dict.fromkeys(values, n), (saturated,))
    quantiles = percentiles(window)
    values |= {key: quantile.value for key, quantile in quantiles.items()}
    values["latency_mean_ms"] = float(served.latency.mean()) / NS_PER_MS
    return ScenarioMetrics(values, quantiles, dict.fromkeys(values, n), _late(served, predicted, record.scenario))


def _of_generator(served: Served, predicted: Array) -> dict[str, float]:
    """Return lateness, where a server ever waited for a request, and the error of the prediction (ms)."""
    found = {"lindley_error_p99_ms": _quantile(np.abs(served.latency - predicted), 0.99) / NS_PER_MS}
    if len(late := served.lateness()):
        found |= {f"lateness_{name}_ms": _quantile(late, p) / NS_PER_MS for name, p in (("p50", 0.5), ("p99_9", 0.999))}
    return found


def _saturated(served: Served, values: dict[str, float], scenario: str) -> Diagnostic | None:
    """Say that the load cannot be served: a deadline left requests unserved, or more work arrives than can be done."""
    traffic, left = served.traffic, served.traffic.offered - len(served.due)
    load = served.load()
    if left == 0 and load < FULL:
        return None
    rate, throughput = traffic.rate_per_s, values["throughput_per_s"]
    text = f"saturated: {rate:.3g} requests/s were offered, {throughput:.3g}/s were served"
    return diagnostic(
        "saturated", text, scenario=scenario, rate_per_s=rate, throughput_per_s=throughput, load=load, unserved=left
    )


def _late(served: Served, predicted: Array, scenario: str) -> tuple[Diagnostic, ...]:
    """Say that late starts changed the result beyond the bound."""
    added = [_quantile(served.latency, p) / max(_quantile(predicted, p), 1.0) - 1.0 for p in _BOUND_AT]
    if max(added) <= GENERATOR_BOUND:
        return ()
    worst = int(np.argmax(added))
    p = _BOUND_AT[worst]
    was, had_been = (_quantile(each, p) / NS_PER_MS for each in (served.latency, predicted))
    text = f"requests were started late: p{100 * p:g} was {was:.3g} ms, {had_been:.3g} ms had they been in time"
    return (diagnostic("generator_late", text, scenario=scenario, quantile=p, added=added[worst], in_time_ms=had_been),)


def _quantile(values: Array, p: float) -> float:
    index = quantile_index(values.size, p)
    return float(np.partition(values, index)[index])
