"""What a turn costs: the counters of slices, handing over, the parent's CPU; and what turns are good for: twins."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from figure import Figure, median, spread
from made import CONVOLUTION, SCENARIO, Model, layered, trial

from harness.evidence.folder import LATENCY, ROUND, START, read_requests
from harness.launch.base import Terms, run_job
from harness.launch.process import ProcessLauncher
from harness.launch.rounds import Start, take_turns
from harness.pipeline.plan import SHORTEST_TURN_S, turn
from harness.spec.arrays import Floats
from harness.worker.slices import LEAST_NS, Slices

_TURN_US = SHORTEST_TURN_S * 1e6


def slices(folder: Path, batches: int = 15, turns: int = 200) -> list[Figure]:
    """Time what recording slices adds to each turn; closing one (steal, kernel) is shared by the turns that fill it."""
    clock = [0]
    filling = Slices()  # its slices are never full: turns take no time
    closing = Slices(lambda: clock[0])
    per_turn, per_slice = [], []
    for _ in range(batches):
        begin = time.perf_counter_ns()
        for _ in range(turns):
            filling.resume()
            filling.pause()
        per_turn.append((time.perf_counter_ns() - begin) / turns / 1e3)
        begin = time.perf_counter_ns()
        for _ in range(10):
            closing.resume()
            clock[0] += 2 * LEAST_NS
            closing.pause()
        per_slice.append((time.perf_counter_ns() - begin) / 10 / 1e3)
    share = 100 * (np.array(per_turn) + np.array(per_slice) * SHORTEST_TURN_S * 1e9 / LEAST_NS) / _TURN_US
    return [
        median("resume and pause of a slice", per_turn, 0, 25, "µs"),
        median("closing a slice, of 50 ms", per_slice, 0, 1_000, "µs"),
        median(f"slices, of a turn of {_TURN_US / 1000:g} ms", share.tolist(), 0, 2, "%"),
    ]


def handover(folder: Path, seconds: float = 2.0) -> list[Figure]:
    """Measure how long no request runs between two turns, and the parent's CPU meanwhile.

    Two processes of a 10 µs model; the requests at a turn's start that do not count are part of it.
    """
    model, launcher, terms = layered(folder, 10), ProcessLauncher(), Terms(folder)
    job = trial(model, seconds, SHORTEST_TURN_S, cpu=min(os.sched_getaffinity(0)))
    with launcher.block([(job, terms)]) as ready:
        table = [Start(ready, _new(folder / f"seat-{place}"), job, terms) for place in range(2)]
        used = time.process_time()
        outcomes = take_turns(table, lambda number, count: range(count))
        used = time.process_time() - used
    for outcome in outcomes:
        assert outcome.status == "ok", outcome.message
    spans = np.sort(np.concatenate([_turns(start.folder) for start in table]), axis=0)
    gaps = (spans[1:, 0] - spans[:-1, 1]) / 1e3
    wall_s = (spans[-1, 1] - spans[0, 0]) / 1e9
    share = 100 * gaps / (gaps + _TURN_US)
    turn = f"{_TURN_US / 1000:g} ms"
    return [
        median("last request of a turn to the first of the next that counts", gaps.tolist(), 0, 1_500, "µs"),
        median(f"handing over, of a turn of {turn}", share.tolist(), 0, 16, "%"),
        Figure(f"parent's CPU while turns of {turn} go round", 100 * used / wall_s, "% of a core", len(gaps), 0, 5),
    ]


def _turns(folder: Path) -> Floats:
    """Return begin and end of each turn, [turns, 2] (ns)."""
    start, latency, number = (read_requests(folder, SCENARIO, each) for each in (START, LATENCY, ROUND))
    first = np.flatnonzero(np.diff(number, prepend=-1))
    last = np.append(first[1:], len(number)) - 1
    return np.stack([start[first], start[last] + latency[last]], axis=1).astype(np.float64)


def twins(folder: Path, repetitions: int = 8, seconds: float = 0.5) -> list[Figure]:
    """Measure two identical cells again and again, in rounds and one after the other, for the same time.

    The ratio that should be 1 spreads: the standard deviation of its logarithm, rounds ÷ one after the other, says how
    much less. Squared, it is the part of the trials that are needed for the same decision.
    """
    figures = []
    for model in (layered(folder, 20), layered(folder, 4_500, CONVOLUTION)):
        ways = {"rounds": _in_rounds, "after": _one_after_the_other}
        logs: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for number in range(repetitions):
            for way, measure in ways.items():
                own = _new(folder / f"twins-{model.name}-{number}-{way}")
                logs[way].append(_log_ratios(measure(model, own, seconds, number)))
        for place, name in enumerate(("p50", "p99")):
            ours, theirs = ([each[place] for each in logs[way]] for way in ways)
            said = f"standard deviations: {np.std(ours, ddof=1):.3f}, {np.std(theirs, ddof=1):.3f}"
            name = f"spread of twins' {name}, {model.name}: rounds ÷ one after the other"
            figures.append(spread(name, ours, theirs, 1, said))
    return figures


def _in_rounds(model: Model, folder: Path, seconds: float, number: int) -> list[Path]:
    launcher, terms = ProcessLauncher(), Terms(folder)
    job = trial(model, seconds, turn(seconds, seconds, model.request_s).seconds, cpu=_cpu(number))
    rng = np.random.default_rng(number)
    with launcher.block([(job, terms)]) as ready:
        table = [Start(ready, _new(folder / f"{place}"), job, terms) for place in range(2)]
        outcomes = take_turns(table, lambda _, count: rng.permutation(count).tolist())
    assert all(outcome.status == "ok" for outcome in outcomes)
    return [start.folder for start in table]


def _one_after_the_other(model: Model, folder: Path, seconds: float, number: int) -> list[Path]:
    folders = [_new(folder / f"{place}") for place in range(2)]
    job = trial(model, seconds, fresh=True, cpu=_cpu(number))
    for own in folders:
        outcome = run_job(ProcessLauncher(), own, job, Terms(folder))
        assert outcome.status == "ok", outcome.message
    return folders


def _log_ratios(folders: Sequence[Path]) -> tuple[float, float]:
    p50, p99 = np.log([np.quantile(read_requests(each, SCENARIO), [0.5, 0.99]) for each in folders]).T
    return float(p50[0] - p50[1]), float(p99[0] - p99[1])


def _cpu(number: int) -> int:
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[number % len(cpus)]


def _new(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
