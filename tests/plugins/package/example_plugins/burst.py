"""`burst`: groups of requests back to back. It has a metric of its own: the latency of each group's first request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from harness.evidence.folder import LATENCY, START
from harness.scenarios.base import NS_PER_MS, Bench, MeasuredWindow, ScenarioMetrics, percentiles
from harness.scenarios.closed_loop import durations, timed, warm_up
from harness.spec.metrics import Metric
from harness.spec.outcome import Window
from harness.spec.ranges import Count, Positive
from harness.spec.scenario import Scenario

GROUP = "group"
FIRST = "first_of_burst_ms"


class Burst(Scenario, Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="burst", tag_field="kind"):
    """`bursts` groups of `requests` each; a group is a turn."""

    name: str
    requests: Count = 2
    bursts: Count = 100
    seconds: Positive = 1.0
    max_samples: Count = 1_000_000

    def problems(self) -> str | None:
        return "requests: a burst has two or more" if self.requests < 2 else None


class _Burst:
    parameters = Burst
    times_requests = True

    def execute(self, scenario: Burst, bench: Bench) -> None:
        feeds = bench.feeds(bench.fixed_batch or 1)
        groups = []
        with bench.warming(scenario.name):
            warmed = warm_up(bench.infer, feeds, bench.clock, bench.job.warm_up, scenario.seconds)
        with bench.measuring(scenario.name):
            for _ in range(scenario.bursts):
                bench.next_turn()
                with bench.counting():
                    groups.append(timed(bench.infer, feeds, scenario.requests, bench.clock))
        stamps = np.concatenate(groups)
        latency, group = durations(stamps), np.repeat(np.arange(scenario.bursts, dtype=np.int64), scenario.requests)
        window = Window(
            name=scenario.name,
            scenario=scenario.name,
            samples=len(latency),
            elapsed_ns=int(latency.sum()),
            steady=warmed.steady,
            warm_up_samples=warmed.samples,
            warm_up_ns=warmed.spent_ns,
            rounds=scenario.bursts,
        )
        bench.keep(window, {START: stamps[:, 0], LATENCY: latency, GROUP: group})

    def metrics(self, scenario: Burst, windows: Sequence[MeasuredWindow]) -> ScenarioMetrics:
        (window,) = windows
        latency, group = window.requests(), window.requests(GROUP)
        first = latency[np.flatnonzero(np.diff(group, prepend=-1))]
        quantiles, samples = percentiles(window), window.record.samples
        values = {key: quantile.value for key, quantile in quantiles.items()} | {FIRST: float(first.mean()) / NS_PER_MS}
        counts = dict.fromkeys(quantiles, samples) | {FIRST: len(first)}
        return ScenarioMetrics(values, quantiles, counts)


class _Catalogued(NamedTuple):
    metric: Metric


KIND = _Burst()
FIRST_OF_BURST = _Catalogued(Metric(FIRST, "ms", "lower", "log", "scenario", "mean latency of a burst's first request"))
