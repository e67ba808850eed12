"""`offline`: throughput with all inputs at hand, at several batch sizes."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from harness.scenarios.base import Bench, MeasuredWindow, ScenarioMetrics, batch_is_fixed, throughput_metrics
from harness.scenarios.closed_loop import Length, run_window
from harness.spec.ranges import Count, Positive
from harness.spec.scenario import Scenario


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
        seconds = scenario.seconds / len(sizes)
        for size in sizes:
            length = Length(seconds, seconds * bench.job.max_duration_factor, 0, scenario.max_samples)
            run_window(bench, scenario.name, f"{scenario.name}.b{size}", size, length)

    def metrics(self, scenario: Offline, windows: Sequence[MeasuredWindow]) -> ScenarioMetrics:
        """Return the highest throughput and the batch size that gave it; latency is a rate here, not a metric."""
        return throughput_metrics(windows)._replace(quantiles={})


KIND = _Offline()
