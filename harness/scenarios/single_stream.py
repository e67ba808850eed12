"""`single_stream`: one inference after another, one row each. Latency is what is asked for."""

from collections.abc import Sequence

from msgspec import Struct

from harness.scenarios.base import Bench, MeasuredWindow, ScenarioMetrics, batch_is_fixed, closed_loop_metrics
from harness.scenarios.closed_loop import length_of, run_window
from harness.spec.ranges import Count, Positive
from harness.spec.scenario import Scenario


class SingleStream(
    Scenario, Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="single_stream", tag_field="kind"
):
    """`seconds` are those of the measured window of one trial; `max_samples` bounds its requests."""

    name: str
    seconds: Positive = 1.0
    max_samples: Count = 1_000_000


class _SingleStream:
    """Latency percentiles, mean and throughput of a closed loop."""

    parameters = SingleStream
    times_requests = True

    def execute(self, scenario: SingleStream, bench: Bench) -> None:
        """Measure one window."""
        if bench.fixed_batch not in (None, 1):
            bench.note(batch_is_fixed(scenario.name, bench.fixed_batch))
        length = length_of(bench.job, scenario.seconds, scenario.max_samples)
        run_window(bench, scenario.name, scenario.name, bench.fixed_batch or 1, length)

    def metrics(self, scenario: SingleStream, windows: Sequence[MeasuredWindow]) -> ScenarioMetrics:
        """Return every percentile with its interval, the mean, and the throughput."""
        return closed_loop_metrics(windows)


KIND = _SingleStream()
