"""Scenarios run in this process, as a trial runs them, so that what they send can be compared with something else."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from made import layered, trial

from harness.evidence.folder import EventLog
from harness.runtimes.base import Session
from harness.scenarios.base import MeasuredWindow, kind
from harness.scenarios.open_metrics import read_served
from harness.spec.arrays import Array
from harness.spec.scenario import Scenario
from harness.spec.wire import Trial
from harness.worker.bench import TrialBench
from harness.worker.ledger import Ledger
from harness.worker.trial import quiet_gc
from harness.worker.turns import Turns

NAME = "inprocess"
SLEEPER_S, _ASLEEP = 5e-3, 0.5
"""So long that how late LoadGen begins (60 µs) is a hundredth of it."""


class Seen(NamedTuple):
    """What a run showed: latencies (ns), how late requests were begun by an idle server (ns), samples per second.

    `due` are the arrivals (ns from the first one), in an open loop.
    """

    latency: Array
    lateness: Array
    due: Array
    per_s: float


class Subject(NamedTuple):
    """A model under test: its session, the rows that it is fed from, the job that would measure it.

    `request_s` is what a request typically takes, `bands` the range that a ratio of each percentile should be in.
    """

    name: str
    session: Session
    arrays: dict[str, Array]
    job: Trial
    request_s: float
    bands: dict[str, tuple[float, float]]
    seconds: float = 1.0


def onnx(folder: Path) -> Subject:
    """Return an ONNX model of 50 to 100 µs; our p50 is not to be above LoadGen's."""
    from harness.runtimes.onnxruntime import OnnxRuntime

    model = layered(folder, 75)
    job = trial(model, 1.0)
    session = OnnxRuntime().load(job.variant, job.target, 1, 0, 0)
    rows = {"x": np.load(model.rows / "inputs" / "x.npy")}
    return Subject("ONNX", session, rows, job, model.request_s, {"p50": (0.0, 1.0)})


class Sleeper:
    """A model that takes the same time for each request: it sleeps for most of it and spins for the rest.

    A sleep alone ends when the thread's timer slack allows it, which whoever calls it may have set.
    """

    outputs = ("y",)

    def __init__(self, of: Session, seconds: float) -> None:
        self.inputs, self.clock, self.scope = of.inputs, of.clock, of.scope
        self.infer: Callable[[Any], Any] = self._sleep
        self._asleep_s, self._ns = _ASLEEP * seconds, round(seconds * 1e9)

    def _sleep(self, feed: Any) -> None:
        end = time.perf_counter_ns() + self._ns
        time.sleep(self._asleep_s)
        while time.perf_counter_ns() < end:
            pass


def sleeper(folder: Path) -> Subject:
    """Return a sleeper; p50 and p99 are to be LoadGen's within 5 %."""
    like, seconds = onnx(folder), SLEEPER_S
    band = (0.95, 1.05)
    return like._replace(
        name="sleeper", session=Sleeper(like.session, seconds), request_s=seconds, bands={"p50": band, "p99": band}
    )


def bench_of(subject: Subject, folder: Path, scenario: Scenario, traces: Path | None) -> TrialBench:
    """Return what a trial would give the scenario."""
    folder.mkdir(parents=True)
    changes = {"scenarios": (scenario,), "traces": None if traces is None else str(traces)}
    job = msgspec.structs.replace(subject.job, **changes, turn_s=scenario.seconds)
    log, first_ns = EventLog(folder), round(subject.request_s * 1e9)
    return TrialBench(job, log, subject.session, subject.arrays, Turns(), Ledger("other"), first_ns)


def ours(subject: Subject, scenario: Scenario, traces: Path | None = None) -> Seen:
    """Send the traffic as a trial does, and read the evidence as it is read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "trial"
        bench = bench_of(subject, folder, scenario, traces)
        with quiet_gc():
            kind(scenario).execute(scenario, bench)
        bench.write(folder)
        return _seen(scenario, MeasuredWindow(bench.windows[-1], folder))


def _seen(scenario: Scenario, window: MeasuredWindow) -> Seen:
    per_s = kind(scenario).metrics(scenario, [window]).values["throughput_per_s"]
    none = np.zeros(0, dtype=np.int64)
    if window.record.open_loop is None:
        return Seen(np.array(window.requests()), none, none, per_s)
    served = read_served(window)
    due = np.array(served.due)
    return Seen(np.array(served.latency), served.lateness(), due - due[0], per_s)


def quantile(values: Array, p: float) -> float:
    """Return an order statistic."""
    return float(np.quantile(values, p, method="inverted_cdf"))
