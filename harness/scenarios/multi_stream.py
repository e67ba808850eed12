"""`multi_stream`: one query after another, of several samples each. Latency is that of a query: all samples done."""

from collections.abc import Sequence

from msgspec import Struct

from harness.scenarios.base import Bench, MeasuredWindow, ScenarioMetrics, closed_loop_metrics
from harness.scenarios.closed_loop import length_of, run_window
from harness.spec.diagnostics import diagnostic
from harness.spec.ranges import Count, Positive
from harness.spec.scenario import Scenario


class MultiStream(
    Scenario, Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="multi_stream", tag_field="kind"
):
    """A query has `samples_per_query` rows. `seconds` are those of the measured window of one trial."""

    name: str
    samples_per_query: Count = 8
    seconds: Positive = 1.0
    max_samples: Count = 1_000_000


class _MultiStream:
    """Latency percentiles of queries, their mean, and the throughput in samples."""

    parameters = MultiStream
    times_requests = True

    def execute(self, scenario: MultiStream, bench: Bench) -> None:
        """Measure one window of queries; a model that takes fewer rows at once is called several times for each."""
        rows = _rows_of_a_call(scenario, bench)
        calls = -(-scenario.samples_per_query // rows)
        if rows != scenario.samples_per_query:
            text = f"{scenario.name}: a query of {scenario.samples_per_query} samples is {calls} calls of {rows} rows"
            bench.note(diagnostic("query_divided", text, samples=scenario.samples_per_query, calls=calls, rows=rows))
        length = length_of(bench.job, scenario.seconds, scenario.max_samples)
        run_window(bench, scenario.name, scenario.name, rows, length, calls)

    def metrics(self, scenario: MultiStream, windows: Sequence[MeasuredWindow]) -> ScenarioMetrics:
        """Return every percentile with its interval, the mean, and the throughput."""
        return closed_loop_metrics(windows)


def _rows_of_a_call(scenario: MultiStream, bench: Bench) -> int:
    """Return how many rows the model is called with: the whole query, its fixed batch, or the most that it takes."""
    return bench.fixed_batch or min(scenario.samples_per_query, bench.most_rows or scenario.samples_per_query)


KIND = _MultiStream()
