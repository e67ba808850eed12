"""Compare our traffic with MLPerf LoadGen's: the same model in the same process, in interleaved pairs.

`make parity`. LoadGen (`mlcommons-loadgen`) is the oracle, not a dependency. Both call one session with the same feeds,
with garbage collection off; in an open loop both have the same arrivals, LoadGen's. Ratios are ours ÷ LoadGen's.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import loadgen
import numpy as np
from figure import Figure, median, text
from inprocess import NAME, Seen, Subject, bench_of, onnx, ours, quantile, sleeper

from harness.scenarios.offline import Offline
from harness.scenarios.server import Server
from harness.scenarios.single_stream import SingleStream
from harness.spec.arrays import Array
from harness.stats.arrivals import mean_rate
from harness.worker.trial import quiet_gc

PAIRS = 12
UTILISATIONS = (0.3, 0.5, 0.7)
BATCH = 8
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_WARM_S = 0.1
_PR_SET_TIMERSLACK = 29


SUBJECTS = {"onnx": onnx, "sleeper": sleeper}


def theirs(subject: Subject, run: Callable[[Any, Sequence[Any]], Seen], rows: int = 1) -> Seen:
    """Let LoadGen send the traffic, after a warm-up like ours."""
    with tempfile.TemporaryDirectory() as name:
        bench = bench_of(subject, Path(name) / "warm", SingleStream(name=NAME), None)
        feeds = [*islice(bench.feeds(rows), 64)]
    end = time.perf_counter() + _WARM_S
    while time.perf_counter() < end:
        subject.session.infer(feeds[0])
    default_timer_slack()
    with quiet_gc():
        return run(subject.session.infer, feeds)


def default_timer_slack() -> None:
    """Give this thread the timer slack of a new process again (50 µs): our servers ask for less, LoadGen does not."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 0, 0, 0, 0)


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
        ratios = [quantile(mine.latency, p) / quantile(oracle.latency, p) for mine, oracle in found]
        level = np.median([quantile(oracle.latency, p) for _, oracle in found]) / 1e3
        note = f"{level:.1f} µs by LoadGen; {np.median([len(mine.latency) for mine, _ in found]):.0f} requests a run"
        figures.append(median(f"{subject.name}, {name}: {key}", ratios, *bands.get(key, (0.0, np.inf)), "x", note))
    return figures


def throughput(name: str, subject: Subject, found: list[Pair], band: tuple[float, float]) -> Figure:
    """Compare what was completed per second."""
    ratios = [mine.per_s / oracle.per_s for mine, oracle in found]
    return median(f"{subject.name}, {name}: throughput", ratios, *band, "x")


def lateness(name: str, subject: Subject, found: list[Pair]) -> list[Figure]:
    """Compare how late idle servers began: p50, and p99.9 of all runs together."""
    halves = [quantile(mine.lateness, 0.5) / quantile(oracle.lateness, 0.5) for mine, oracle in found]
    mine, oracle = (np.concatenate([pair[side].lateness for pair in found]) for side in (0, 1))
    tail = quantile(mine, 0.999) / quantile(oracle, 0.999)
    levels = ", ".join(
        f"{p}: {quantile(mine, q) / 1e3:.2f} against {quantile(oracle, q) / 1e3:.2f} µs"
        for p, q in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))
    )
    title = f"{subject.name}, {name}: lateness"
    return [
        median(f"{title} p50", halves, 0.0, 0.05, "x", f"{levels}; {len(mine):,} and {len(oracle):,} idle starts"),
        Figure(f"{title} p99.9, all runs together", tail, "x", len(found), 0.0, 1.0),
    ]


def single_stream(subject: Subject, count: int) -> list[Figure]:
    """Send one request after another."""
    scenario = SingleStream(name=NAME, seconds=subject.seconds)
    found = pairs(
        lambda: ours(subject, scenario),
        lambda: theirs(subject, lambda infer, feeds: loadgen.single_stream(infer, feeds, subject.seconds)),
        count,
    )
    name = "single stream"
    return [*latencies(name, subject, found, subject.bands), throughput(name, subject, found, (0.95, np.inf))]


def offline(subject: Subject, count: int) -> list[Figure]:
    """Have all samples at hand, in batches."""
    scenario = Offline(name=NAME, seconds=subject.seconds, batch_sizes=(BATCH,))
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
            np.save(Path(folder) / f"{NAME}.npy", due)
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
    return Server(name=NAME, trace="loadgen.csv", rate_per_s=rate, seconds=seconds)


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
