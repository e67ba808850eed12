"""`capacity`: the highest arrival rate at which a latency percentile keeps a limit, searched within a trial.

The service times of a closed loop tell where it is to be expected (a queueing simulation), so that few rates are tried.
Each rate is an open loop, looked at as planned; `stats.rates` is the rule. All evidence is kept, and read by the same
rule again.
"""

import zlib
from collections.abc import Sequence
from itertools import groupby
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from harness.scenarios.base import NS_PER_MS, Bench, MeasuredWindow, ScenarioMetrics
from harness.scenarios.closed_loop import WarmUp, length_of, run_window
from harness.scenarios.open_metrics import read_served
from harness.scenarios.open_window import OpenWindow, serve_window
from harness.scenarios.serving import Batching
from harness.spec.arrays import Array, Booleans
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.metrics import PERCENTILES
from harness.spec.outcome import OpenLoop
from harness.spec.ranges import Count, Positive
from harness.spec.scenario import Scenario
from harness.stats.arrivals import NS_PER_S
from harness.stats.queueing import highest_rate, poisson_load, quantile_of
from harness.stats.rates import Certificate, Tried, bracket, design_effect, judged, look_sizes, middle, next_rate

ALONE = "alone"
"""The window of single requests, one after another, is `<scenario>.alone`; those at rates are `<scenario>.<number>`."""
_ALONE_FRACTION = 0.1
_SIMULATED, _SEED = 60_000, 0
_FEWEST = 20
"""A window of fewer requests proves nothing."""


class Capacity(
    Scenario, msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="capacity", tag_field="kind"
):
    """The `percentile` of latency is to be at most `limit_ms`; `seconds` bound the search of one trial.

    `serving_threads` share one model, `serving_processes` have one each.
    """

    name: str
    limit_ms: Positive
    percentile: Literal["p50", "p90", "p95", "p99", "p99.9"] = "p99"
    seconds: Positive = 10.0
    serving_threads: Count = 1
    serving_processes: Count = 1
    max_samples: Count = 1_000_000

    def problems(self) -> str | None:
        """Say what is wrong beyond types and ranges."""
        both = self.serving_threads > 1 and self.serving_processes > 1
        return "serving_processes: give either threads or processes" if both else None

    @property
    def key(self) -> str:
        """The metric whose limit it is: `latency_p99_ms`."""
        return f"latency_{self.percentile.replace('.', '_')}_ms"

    @property
    def p(self) -> float:
        """The percentile as a fraction."""
        return PERCENTILES[self.key]

    @property
    def limit_ns(self) -> float:
        """The limit in ns."""
        return self.limit_ms * NS_PER_MS

    @property
    def threads(self) -> int:
        """How many threads of a process serve."""
        return self.serving_threads

    @property
    def processes(self) -> int:
        """How many processes serve."""
        return self.serving_processes


class Expected(NamedTuple):
    """Where the capacity is expected (requests per second; 0: nowhere), and the requests at each look at a rate."""

    rate_per_s: float
    effect: float
    looks: tuple[int, ...]


def expected(scenario: Capacity, service: Array) -> Expected:
    """Predict the capacity from service times (ns). The same in child and parent: nothing in it is left to chance."""
    loads = [poisson_load(service, _SIMULATED, np.random.default_rng(_SEED))]
    rate = highest_rate(loads, scenario.p, scenario.limit_ns, scenario.serving)
    if rate == 0.0:
        return Expected(0.0, 1.0, ())
    effect = design_effect(loads, rate, scenario.limit_ns, scenario.serving)
    return Expected(rate * NS_PER_S, effect, look_sizes(scenario.p, effect))


class _Capacity:
    """The capacity with the rates that bound it."""

    parameters = Capacity
    times_requests = False

    def execute(self, scenario: Capacity, bench: Bench) -> None:
        """Time single requests, then search."""
        end_ns = bench.clock() + scenario.seconds * NS_PER_S
        rows, alone = bench.fixed_batch or 1, f"{scenario.name}.{ALONE}"
        length = length_of(bench.job, _ALONE_FRACTION * scenario.seconds, scenario.max_samples)
        service = run_window(bench, scenario.name, alone, rows, length)
        at, warmed = expected(scenario, service), WarmUp(True, 0, 0, float(np.median(service)))
        if at.rate_per_s:
            _Search(scenario, bench, rows, at, end_ns, warmed).run()

    def metrics(self, scenario: Capacity, windows: Sequence[MeasuredWindow]) -> ScenarioMetrics:
        """Return the capacity (inferences per second), and the rates certified to keep and to break the limit."""
        alone, *rates = windows
        at, rows, n = (
            expected(scenario, alone.requests()),
            alone.record.batch_size,
            sum(w.record.samples for w in rates),
        )
        if at.rate_per_s == 0.0:
            return ScenarioMetrics({}, {}, {}, (_none(scenario, alone.requests()),))
        tried = _replayed(scenario, rates, at)
        found = bracket(tried)
        values = {"capacity_per_s": middle(found, at.rate_per_s) * rows}
        if found.low:
            values["capacity_holds_per_s"] = found.low * rows
        if np.isfinite(found.high):
            values["capacity_breaks_per_s"] = found.high * rows
        return ScenarioMetrics(values, {}, dict.fromkeys(values, n))


class _Search:
    """Tries one rate after another, until the bracket of the capacity is narrow or the time is over."""

    def __init__(
        self, scenario: Capacity, bench: Bench, rows: int, at: Expected, end_ns: float, warmed: WarmUp
    ) -> None:
        self._scenario, self._bench, self._rows, self._at = scenario, bench, rows, at
        self._end_ns, self._warmed = end_ns, warmed
        self._team, self._number = bench.team(scenario, rows, Batching()), 0
        self._rng = np.random.default_rng([bench.job.seed, bench.job.block, zlib.crc32(scenario.name.encode())])

    def run(self) -> None:
        """Search; each rate that is tried leaves its windows."""
        self._team.warm()
        tried = list[Tried]()
        while (rate := next_rate(tried, self._at.rate_per_s)) is not None:
            verdict = self._try(rate)
            if verdict is None:
                break
            tried.append(Tried(rate, verdict))

    def _try(self, rate: float) -> Certificate | None:
        """Look at a rate until it is decided; None where there was no time for it."""
        parts, served, verdict = list[Booleans](), 0, None
        for size in self._at.looks:
            count = min(size - served, self._affordable(rate), self._scenario.max_samples)
            if count < _FEWEST:
                break
            parts.append(self._window(rate, count))
            served, verdict = served + count, judged(np.concatenate(parts), self._scenario.p, self._at.effect)
            if verdict != "undecided":
                break
        return verdict

    def _affordable(self, rate: float) -> int:
        """Return how many arrivals at a rate fall into the time that is left."""
        return max(0, int((self._end_ns - self._bench.clock()) * rate / NS_PER_S))

    def _window(self, rate: float, count: int) -> Booleans:
        """Serve so many arrivals at a rate, and keep their evidence; returns which were late, in their order."""
        self._number += 1
        name, seconds = self._scenario.name, count / rate
        offsets = np.cumsum(self._rng.exponential(NS_PER_S / rate, count)).astype(np.int64)
        traffic = OpenLoop(rate_per_s=rate, offered=count, seconds=seconds, servers=self._scenario.serving)
        window = OpenWindow(f"{name}.{self._number}", name, self._rows, offsets, traffic)
        return late_of(self._scenario, serve_window(window, self._team, self._warmed, self._bench), count)


def _replayed(scenario: Capacity, windows: Sequence[MeasuredWindow], at: Expected) -> list[Tried]:
    """Judge the rates that were tried, in their order, by their evidence."""
    found = []
    for rate, group in groupby(map(read_served, windows), key=lambda served: served.traffic.rate_per_s):
        late = np.concatenate([late_of(scenario, served.latency, served.traffic.offered) for served in group])
        found.append(Tried(rate, judged(late, scenario.p, at.effect)))
    return found


def late_of(scenario: Capacity, latency: Array, offered: int) -> Booleans:
    """Return which of the requests that were offered took longer than the limit; those never served did."""
    return np.concatenate([latency > scenario.limit_ns, np.ones(offered - latency.size, dtype=np.bool_)])


def _none(scenario: Capacity, service: Array) -> Diagnostic:
    """Say that no rate keeps the limit."""
    alone_ms = quantile_of(service.astype(np.float64), scenario.p) / NS_PER_MS
    text = f"{scenario.name}: no rate keeps {scenario.percentile} at most {scenario.limit_ms:g} ms: "
    text += f"requests that do not wait take {alone_ms:.3g} ms"
    return diagnostic("capacity_none", text, scenario=scenario.name, limit_ms=scenario.limit_ms, alone_ms=alone_ms)


KIND = _Capacity()
