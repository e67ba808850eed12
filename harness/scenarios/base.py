"""What a scenario kind must offer. Implement this and register it in `harness.scenarios` to add one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from harness.errors import EvidenceError
from harness.evidence.folder import DEVICE, read_requests
from harness.scenarios.serving import Batching, Team
from harness.spec import plugins
from harness.spec.arrays import Array, Integers
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.metrics import DEVICE_PERCENTILES, PERCENTILES
from harness.spec.outcome import Window
from harness.spec.scenario import Scenario, kind_of
from harness.spec.wire import Trial
from harness.stats.quantiles import Quantile, summarise

NS_PER_MS = 1e6


class Bench(Protocol):
    """What the child gives a scenario: the model to call, inputs, a clock, and where evidence goes.

    `infer` takes a feed and returns when the answer is there. `fixed_batch` is the only batch size that the
    model accepts, None when it accepts others; `most_rows` is the largest, None without a bound. `row_ns` is how long
    one row takes, as far as it is known. `device_ns` returns what the last calls took on a device (ns), so many as it
    is asked for; None where that is not timed.
    """

    job: Trial
    infer: Callable[[Any], Any]
    clock: Callable[[], int]
    fixed_batch: int | None
    most_rows: int | None
    row_ns: float
    device_ns: Callable[[int], Integers] | None

    def feeds(self, batch_size: int) -> Iterator[Any]:
        """Return feeds of this many rows each, without end, rotating over the input pool."""

    def warming(self, window: str) -> AbstractContextManager[bool]:
        """Return the context of a window's warm-up; it tells whether an earlier window has warmed the process."""

    def measuring(self, window: str) -> AbstractContextManager[None]:
        """Return the context of a measured window: nothing is written and no garbage collected in it."""

    def next_turn(self) -> bool:
        """Let other processes run until it is this one's turn again; returns whether any could have run."""

    def counting(self) -> AbstractContextManager[None]:
        """Return the context of the requests of a turn that count: what the host does meanwhile is recorded."""

    def team(self, scenario: Scenario, rows: int, batching: Batching) -> Team:
        """Return the servers of a scenario: its threads or processes, for requests of so many rows each."""

    def keep(self, window: Window, arrays: Mapping[str, Array]) -> None:
        """Keep a window's requests (one int64 array per name); they are written when all windows are measured."""

    def note(self, diagnostic: Diagnostic) -> None:
        """Add a note to the outcome, once."""


class MeasuredWindow(NamedTuple):
    """A window's record, and the folder that its requests are in."""

    record: Window
    folder: Path

    def requests(self, array: str = "latency") -> Array:
        """Open one array of the window's requests (ns), memory-mapped; raises EvidenceError if it is damaged."""
        if self.record.elapsed_ns <= 0:
            raise EvidenceError(f"{self.folder}: damaged: window {self.record.name} took {self.record.elapsed_ns} ns")
        return read_requests(self.folder, self.record.name, array, self.record.samples)


class ScenarioMetrics(NamedTuple):
    """What one trial says of one scenario, by metric key without prefix.

    `counts` are the samples behind a value; `quantiles` tells which percentiles the scenario times. `warnings` are what
    the trial is to be read with care for.
    """

    values: dict[str, float]
    quantiles: dict[str, Quantile]
    counts: dict[str, int]
    warnings: tuple[Diagnostic, ...] = ()


class Kind(Protocol):
    """A kind of traffic. `times_requests`: latency percentiles are metrics of the scenario."""

    parameters: type[msgspec.Struct]
    times_requests: bool

    def execute(self, scenario: Any, bench: Bench) -> None:
        """Send the traffic to the model, in the child."""

    def metrics(self, scenario: Any, windows: Sequence[MeasuredWindow]) -> ScenarioMetrics:
        """Turn the evidence into metrics, in the parent; raises EvidenceError if it is damaged."""


def kind(scenario: Scenario) -> Kind:
    """Return the kind that a scenario of a suite belongs to."""
    found: Kind = plugins.load("scenarios", kind_of(scenario))
    return found


def percentiles(window: MeasuredWindow) -> dict[str, Quantile]:
    """Return every latency percentile of a window (ms) with its interval within the trial.

    Where the device was timed, percentiles of its times too.
    """
    device = _summarised(window.requests(DEVICE), DEVICE_PERCENTILES) if window.record.device_timed else {}
    return _summarised(window.requests(), PERCENTILES) | device


def _summarised(times: Array, percentiles: Mapping[str, float]) -> dict[str, Quantile]:
    found = summarise(times, tuple(percentiles.values()))
    return {key: Quantile(*(value / NS_PER_MS for value in found[p])) for key, p in percentiles.items()}


def throughput_metrics(windows: Sequence[MeasuredWindow]) -> ScenarioMetrics:
    """Return the throughput, batch size and percentiles of the fastest window."""
    found = [(window.record, percentiles(window)) for window in windows]  # refuses a window that took no time
    record, quantiles = max(found, key=lambda each: _throughput(each[0]))
    values = {"throughput_per_s": _throughput(record), "best_batch_size": float(record.batch_size)}
    return ScenarioMetrics(values, quantiles, {"throughput_per_s": record.samples})


def closed_loop_metrics(windows: Sequence[MeasuredWindow]) -> ScenarioMetrics:
    """Return the throughput of a closed loop, every percentile of its latency with an interval, and the mean."""
    values, quantiles, counts, _ = throughput_metrics(windows)
    record = windows[-1].record
    values |= {key: quantile.value for key, quantile in quantiles.items()}
    values["latency_mean_ms"] = record.elapsed_ns / record.samples / NS_PER_MS
    counts |= {key: record.samples for key in (*quantiles, "latency_mean_ms")}
    return ScenarioMetrics(values, quantiles, counts)


def _throughput(window: Window) -> float:
    return window.batch_size * window.samples / (window.elapsed_ns / 1e9)


def batch_is_fixed(scenario: str, size: int | None) -> Diagnostic:
    """Return the note that a model accepts one batch size only."""
    text = f"{scenario}: other batch sizes are not applicable: the model takes {size} only"
    return diagnostic("batch_fixed", text, batch_size=size)
