"""Compare our traffic with MLPerf LoadGen's: the same model in the same process, in interleaved pairs.

`make parity`. LoadGen (`mlcommons-loadgen`) is the oracle, not a dependency. Both call one session with the same feeds,
with garbage collection off; in an open loop both have the same arrivals, LoadGen's. Ratios are ours ÷ LoadGen's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import loadgen
import msgspec
import numpy as np
from figure import Figure, median, text
from loadgen import Seen
from made import layered, trial

from harness.evidence.folder import EventLog
from harness.runtimes.base import Session
from harness.scenarios.base import MeasuredWindow, kind
from harness.scenarios.offline import Offline
from harness.scenarios.open_metrics import read_served
from harness.scenarios.server import Server
from harness.scenarios.single_stream import SingleStream
from harness.spec.arrays import Array
from harness.spec.scenario import Scenario
from harness.spec.wire import Trial
from harness.stats.arrivals import mean_rate
from harness.worker.bench import TrialBench
from harness.worker.ledger import Ledger
from harness.worker.trial import quiet_gc
from harness.worker.turns import Turns

PAIRS = 12
UTILISATIONS = (0.3, 0.5, 0.7)
BATCH = 8
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_WARM_S = 0.1
_NAME = "parity"


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
    """A model that sleeps for a millisecond."""

    outputs = ("y",)

    def __init__(self, of: Session, seconds: float) -> None:
        self.inputs, self.clock, self.scope = of.inputs, of.clock, of.scope
        self.infer: Callable[[Any], Any] = lambda feed: time.sleep(seconds)


def sleeper(folder: Path) -> Subject:
    """Return a sleeper; p50 and p99 are to be LoadGen's within 5 %."""
    like, seconds = onnx(folder), 1e-3
    band = (0.95, 1.05)
    return like._replace(
        name="sleeper", session=Sleeper(like.session, seconds), request_s=seconds, bands={"p50": band, "p99": band}
    )


SUBJECTS = {"onnx": onnx, "sleeper": sleeper}


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


def theirs(subject: Subject, run: Callable[[Any, Sequence[Any]], Seen], rows: int = 1) -> Seen:
    """Let LoadGen send the traffic, after a warm-up like ours."""
    with tempfile.TemporaryDirectory() as name:
        bench = bench_of(subject, Path(name) / "warm", SingleStream(name=_NAME), None)
        feeds = [*islice(bench.feeds(rows), 64)]
    end = time.perf_counter() + _WARM_S
    while time.perf_counter() < end:
        subject.session.infer(feeds[0])
    with quiet_gc():
        return run(subject.session.infer, feeds)


Pair = tuple[Seen, Seen]


def pairs(first: Callable[[], Seen], second: Callable[[], Seen], count: int) -> list[Pair]:
    """Run both by turns, in alternating order; returns (ours, LoadGen's) of each pair."""
    found = []
    for index in range(count):
        if index % 2:
            oracle = second()
            found.append((first(), oracle))
        else:
            mine = first()
            found.append((mine, second()))
    return found


def latencies(name: str, subject: Subject, found: list[Pair], bands: dict[str, tuple[float, float]]) -> list[Figure]:
    """Compare percentiles."""
    figures = []
    for key, p in PERCENTILES.items():
        ratios = [_quantile(mine.latency, p) / _quantile(oracle.latency, p) for mine, oracle in found]
        level = np.median([_quantile(oracle.latency, p) for _, oracle in found]) / 1e3
        note = f"{level:.1f} µs by LoadGen; {np.median([len(mine.latency) for mine, _ in found]):.0f} requests a run"
        figures.append(median(f"{subject.name}, {name}: {key}", ratios, *bands.get(key, (0.0, np.inf)), "x", note))
    return figures


def throughput(name: str, subject: Subject, found: list[Pair], band: tuple[float, float]) -> Figure:
    """Compare what was completed per second."""
    ratios = [mine.per_s / oracle.per_s for mine, oracle in found]
    return median(f"{subject.name}, {name}: throughput", ratios, *band, "x")


def lateness(name: str, subject: Subject, found: list[Pair]) -> list[Figure]:
    """Compare how late idle servers began: p50, and p99.9 of all runs together."""
    halves = [_quantile(mine.lateness, 0.5) / _quantile(oracle.lateness, 0.5) for mine, oracle in found]
    mine, oracle = (np.concatenate([pair[side].lateness for pair in found]) for side in (0, 1))
    tail = _quantile(mine, 0.999) / _quantile(oracle, 0.999)
    levels = ", ".join(
        f"{p}: {_quantile(mine, q) / 1e3:.2f} against {_quantile(oracle, q) / 1e3:.2f} µs"
        for p, q in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))
    )
    title = f"{subject.name}, {name}: lateness"
    return [
        median(f"{title} p50", halves, 0.0, 0.05, "x", f"{levels}; {len(mine):,} and {len(oracle):,} idle starts"),
        Figure(f"{title} p99.9, all runs together", tail, "x", len(found), 0.0, 1.0),
    ]


def _quantile(values: Array, p: float) -> float:
    return float(np.quantile(values, p, method="inverted_cdf"))


def single_stream(subject: Subject, count: int) -> list[Figure]:
    """Send one request after another."""
    scenario = SingleStream(name=_NAME, seconds=subject.seconds)
    found = pairs(
        lambda: ours(subject, scenario),
        lambda: theirs(subject, lambda infer, feeds: loadgen.single_stream(infer, feeds, subject.seconds)),
        count,
    )
    name = "single stream"
    return [*latencies(name, subject, found, subject.bands), throughput(name, subject, found, (0.95, np.inf))]


def offline(subject: Subject, count: int) -> list[Figure]:
    """Have all samples at hand, in batches."""
    scenario = Offline(name=_NAME, seconds=subject.seconds, batch_sizes=(BATCH,))
    samples = max(BATCH, round(subject.seconds / subject.request_s / BATCH) * BATCH)
    found = pairs(
        lambda: ours(subject, scenario),
        lambda: theirs(subject, lambda infer, feeds: loadgen.offline(infer, feeds, BATCH, samples), BATCH),
        count,
    )
    return [throughput(f"offline, batches of {BATCH}", subject, found, (0.95, np.inf))]


def server(subject: Subject, count: int) -> list[Figure]:
    """Send requests at several rates, at the same moments."""
    figures = []
    for utilisation in UTILISATIONS:
        rate = utilisation / subject.request_s

        def oracle(rate: float = rate) -> Seen:
            return theirs(subject, lambda infer, feeds: loadgen.server(infer, feeds, subject.seconds, rate, seed=1))

        with tempfile.TemporaryDirectory() as folder:
            due = oracle().due
            np.save(Path(folder) / f"{_NAME}.npy", due)
            found = pairs(lambda due=due, at=folder: ours(subject, _replay(due), Path(at)), oracle, count)
        name = f"server at {rate:,.0f}/s ({utilisation:.0%} busy)"
        same = all(np.array_equal(mine.due, them.due) for mine, them in found)
        figures += latencies(name, subject, found, subject.bands if subject.name == "sleeper" else {})
        figures.append(throughput(f"{name}, same arrivals: {same}", subject, found, (0.98, 1.02)))
        figures += lateness(name, subject, found)
    return figures


def _replay(due: Array) -> Server:
    """Return a scenario that sends requests at these moments, once each."""
    rate = mean_rate(due)
    seconds = float(due[-1]) / 1e9 + 1.0 / rate
    return Server(name=_NAME, trace="loadgen.csv", rate_per_s=rate, seconds=seconds)


SCENARIOS = {"single_stream": single_stream, "server": server, "offline": offline}


def main() -> int:
    """Measure, print, and say whether a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"default: {PAIRS}")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run; default: 1")
    parser.add_argument("--subject", action="append", choices=SUBJECTS, help="repeatable; default: all")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="repeatable; default: all")
    given = parser.parse_args()
    missed = False
    for name in given.subject or [*SUBJECTS]:
        with tempfile.TemporaryDirectory() as folder:
            subject = SUBJECTS[name](Path(folder))._replace(seconds=given.seconds)
            with subject.session.scope():
                for scenario in given.scenario or [*SCENARIOS]:
                    for figure in SCENARIOS[scenario](subject, given.pairs):
                        print(text(figure), flush=True)
                        missed |= figure.missed
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
