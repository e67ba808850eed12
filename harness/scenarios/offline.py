"""`offline`: throughput with all inputs at hand, at several batch sizes."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from harness.scenarios.base import Bench, MeasuredWindow, ScenarioMetrics, batch_is_fixed, throughput_metrics
from harness.scenarios.closed_loop import length_of, run_window
from harness.spec.diagnostics import diagnostic
from harness.spec.ranges import Count, Positive
from harness.spec.scenario import Scenario

_LONGEST = 3.0
"""A batch size is left out when one request would take this many times the scenario's seconds."""


class Offline(
    Scenario, msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="offline", tag_field="kind"
):
    """Each batch size is kept busy for its part of `seconds`."""

    name: str
    seconds: Positive = 1.0
    batch_sizes: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1)] = (1, 8, 32)
    max_samples: Count = 1_000_000

    def problems(self) -> str | None:
        """Say what is wrong beyond types and ranges."""
        return "batch_sizes: a size is named twice" if len(set(self.batch_sizes)) < len(self.batch_sizes) else None


class _Offline:
    """Throughput and the best batch size."""

    parameters = Offline
    times_requests = False

    def execute(self, scenario: Offline, bench: Bench) -> None:
        """Measure one window per batch size; only the model's own where it accepts no other."""
        fixed = bench.fixed_batch
        sizes = scenario.batch_sizes if fixed is None else (fixed,)
        if sizes != scenario.batch_sizes:
            bench.note(batch_is_fixed(scenario.name, fixed))
        sizes = _affordable(_allowed(sizes, scenario, bench), scenario, bench)
        seconds = scenario.seconds / len(sizes)
        for size in sizes:
            length = length_of(bench.job, seconds, scenario.max_samples)
            run_window(bench, scenario.name, f"{scenario.name}.b{size}", size, length)

    def metrics(self, scenario: Offline, windows: Sequence[MeasuredWindow]) -> ScenarioMetrics:
        """Return the highest throughput and the batch size that gave it; latency is a rate here, not a metric."""
        return throughput_metrics(windows)._replace(quantiles={})


def _allowed(sizes: tuple[int, ...], scenario: Offline, bench: Bench) -> tuple[int, ...]:
    """Return the sizes that the model takes, at least one: its largest where all are larger."""
    most = bench.most_rows
    larger = [size for size in sizes if most is not None and size > most]
    if most is None or not larger:
        return sizes
    text = f"{scenario.name}: batch sizes {', '.join(map(str, larger))} left out: the model takes {most} rows at most"
    bench.note(diagnostic("batch_left_out", text, sizes=[*larger]))
    return tuple(size for size in sizes if size <= most) or (most,)


def _affordable(sizes: Sequence[int], scenario: Offline, bench: Bench) -> tuple[int, ...]:
    """Return the sizes of which one request does not take far longer than the scenario is to last, at least one."""
    longest = _LONGEST * 1e9 * max(scenario.seconds, 1.0)
    kept = tuple(size for size in sizes if size == min(sizes) or size * bench.row_ns <= longest)
    if left_out := sorted(set(sizes) - set(kept)):
        text = f"{scenario.name}: batch sizes {', '.join(map(str, left_out))} left out: one request takes too long"
        bench.note(diagnostic("batch_left_out", text, sizes=[*left_out]))
    return kept


KIND = _Offline()
