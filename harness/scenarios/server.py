"""`server`: an open loop. Requests arrive at a rate, whether or not earlier ones are done; latency is done - due."""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from harness.evidence.files import read_array
from harness.scenarios.base import Bench, MeasuredWindow, ScenarioMetrics, batch_is_fixed
from harness.scenarios.closed_loop import warm_up
from harness.scenarios.open_metrics import open_metrics
from harness.scenarios.open_window import OpenWindow, serve_window
from harness.scenarios.serving import Batching
from harness.spec.arrays import Integers
from harness.spec.diagnostics import diagnostic
from harness.spec.outcome import OpenLoop
from harness.spec.ranges import Count, NotNegative, Positive, Rate, Share
from harness.spec.scenario import Scenario
from harness.stats.arrivals import NS_PER_S, constant, poisson, replayed


class Server(
    Scenario, msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="server", tag_field="kind"
):
    """Arrivals at `rate_per_s`, or at a share of what the row itself can serve (`utilisation`), or as in a `trace`.

    A trace is a CSV or Parquet file with a column of timestamps; with a rate, it is replayed at that mean rate. Numbers
    are in units of `trace_unit`.
    `serving_threads` share one model, `serving_processes` have one each (for models that hold the interpreter lock).
    `max_batch` requests are served at once if so many wait, or come within `max_wait_ms` of the oldest.
    """

    name: str
    seconds: Positive = 10.0
    rate_per_s: Rate | None = None
    utilisation: Share | None = None
    arrivals: Literal["poisson", "constant"] = "poisson"
    trace: str | None = None
    trace_column: str | None = None
    trace_unit: Literal["s", "ms", "us", "ns"] = "s"
    serving_threads: Count = 1
    serving_processes: Count = 1
    max_batch: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 1
    max_wait_ms: NotNegative = 0.0
    max_samples: Count = 1_000_000

    def problems(self) -> str | None:
        """Say what is wrong beyond types and ranges."""
        if self.utilisation is not None and (self.rate_per_s is not None or self.trace is not None):
            return "utilisation: give either this share or an absolute rate (rate_per_s, trace)"
        if self.rate_per_s is None and self.utilisation is None and self.trace is None:
            return "rate_per_s: missing; give requests per second, or a 'trace', or 'utilisation'"
        if self.trace is not None and self.arrivals != "poisson":
            return "arrivals: a trace has its own"
        if self.trace is None and self.trace_column is not None:
            return "trace_column: there is no 'trace'"
        if self.serving_threads > 1 and self.serving_processes > 1:
            return "serving_processes: give either threads or processes"
        if self.max_wait_ms > 0 and self.max_batch == 1:
            return "max_wait_ms: there is nothing to wait for with max_batch = 1"
        return None

    def files(self) -> Mapping[str, str]:
        """Return the trace."""
        return {} if self.trace is None else {"trace": self.trace}

    def gap_s(self, request_s: float) -> float:
        """Return the mean time between two arrivals (s)."""
        if self.utilisation is not None:
            return request_s / (self.utilisation * self.serving)
        return 1.0 / self.rate_per_s if self.rate_per_s is not None else 0.0

    @property
    def threads(self) -> int:
        """How many threads of a process serve."""
        return self.serving_threads

    @property
    def processes(self) -> int:
        """How many processes serve."""
        return self.serving_processes


class _Server:
    """Latency percentiles under load, and how honest the generator was."""

    parameters = Server
    times_requests = True

    def execute(self, scenario: Server, bench: Bench) -> None:
        """Warm up, then serve one window of arrivals in one piece."""
        rows, batching = _shape(scenario, bench)
        team, feeds = bench.team(scenario, rows, batching), bench.feeds(rows)
        with bench.warming(scenario.name) as again:
            warmed = warm_up(bench.infer, feeds, bench.clock, bench.job.warm_up, scenario.seconds, again)
            team.warm()
        rate = scenario.rate_per_s or NS_PER_S / scenario.gap_s(warmed.mean_ns)
        offsets, seconds = _arrivals(scenario, rate, bench)
        traffic = OpenLoop(
            rate_per_s=rate,
            offered=len(offsets),
            seconds=seconds,
            servers=scenario.serving,
            max_batch=batching.most,
            max_wait_ns=batching.wait_ns,
        )
        serve_window(OpenWindow(scenario.name, scenario.name, rows, offsets, traffic), team, warmed, bench)

    def metrics(self, scenario: Server, windows: Sequence[MeasuredWindow]) -> ScenarioMetrics:
        """Return latency percentiles unless the load cannot be served, and what tells whether they can be trusted."""
        return open_metrics(windows[-1])


def _shape(scenario: Server, bench: Bench) -> tuple[int, Batching]:
    """Return the rows of a request, and how requests are batched, as the model allows."""
    fixed, most = bench.fixed_batch, bench.most_rows
    if fixed is not None:
        if scenario.max_batch > 1 or fixed > 1:
            bench.note(batch_is_fixed(scenario.name, fixed))
        return fixed, Batching()
    if most is not None and most < scenario.max_batch:
        text = f"{scenario.name}: batches hold {most} requests at most: the model takes no more rows"
        bench.note(diagnostic("batch_left_out", text, sizes=[scenario.max_batch]))
    size = min(scenario.max_batch, most or scenario.max_batch)
    return 1, Batching(size, round(scenario.max_wait_ms * 1e6) if size > 1 else 0)


def _arrivals(scenario: Server, rate: float, bench: Bench) -> tuple[Integers, float]:
    """Draw the arrivals of a window: the same for all cells of a block. Returns offsets (ns) and the seconds they fill.

    At least one arrives: a window that none falls into has it at its begin.
    """
    job, seconds = bench.job, scenario.seconds
    rng = np.random.default_rng([job.seed, job.block, zlib.crc32(scenario.name.encode())])
    if scenario.trace is not None:
        found = replayed(read_array(Path(job.traces or "") / f"{scenario.name}.npy"), rate, seconds, rng)
    else:
        found = poisson(rate, seconds, rng) if scenario.arrivals == "poisson" else constant(rate, seconds)
    if len(found) > scenario.max_samples:
        seconds = float(found[scenario.max_samples]) / NS_PER_S
        found = found[: scenario.max_samples]
    return (found if len(found) else np.zeros(1, dtype=np.int64)), seconds


KIND = _Server()
