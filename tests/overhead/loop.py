"""What the hot loop costs, against a bare loop of the same process and minute; and what the parent costs beside it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from figure import Figure, median
from made import layered, session_of, trial

from harness.evidence.files import read_arrays
from harness.launch.base import Terms, run_job
from harness.launch.process import ProcessLauncher
from harness.runtimes.base import Feed
from harness.runtimes.feeds import pool
from harness.scenarios.closed_loop import durations, timed
from harness.worker.trial import quiet_gc

PAIRS, CHUNK = 120, 400


Chunks = dict[str, Any]


def alternating(session: Any, feeds: list[Feed], bare: Callable[[Any, int], list[int]], chunk: int) -> list[Chunks]:
    """Run the harness's hot loop and a bare loop by turns in this process; returns their sorted samples (ns), in pairs.

    Both call one session: two sessions of one model differ by some per cent, by where their weights lie.
    """
    ours, theirs = cycle(feeds), cycle(feeds)
    runs: dict[str, Callable[[], Any]] = {
        "harness": lambda: durations(timed(session.infer, ours, chunk, session.clock)),
        "bare": lambda: bare(theirs, chunk),
    }
    pairs = []
    with quiet_gc():
        for index in range(PAIRS + 5):
            order = ("harness", "bare") if index % 2 else ("bare", "harness")
            pairs.append({name: np.sort(runs[name]()) for name in order})
    return pairs[5:]


def p50_ratios(pairs: list[Chunks]) -> list[float]:
    """Return p50 of the harness's loop ÷ p50 of the bare one, for each pair."""
    return [float(np.median(pair["harness"]) / np.median(pair["bare"])) for pair in pairs]


def fidelity(folder: Path) -> list[Figure]:
    """Compare the harness's hot loop with a bare loop, alternating in chunks inside this process."""
    model = layered(folder, 75)
    session = session_of(model.path)
    by_hand, names = session.infer.func.__self__, list(session.outputs)

    def bare(feeds: Any, count: int) -> list[int]:  # as one would write it
        samples = []
        for _ in range(count):
            feed = next(feeds)
            begin = time.perf_counter_ns()
            by_hand.run(names, feed)
            samples.append(time.perf_counter_ns() - begin)
        return samples

    pairs = alternating(session, pool(session.inputs, read_arrays(model.rows / "inputs"), 1, 64), bare, CHUNK)
    p99 = [float(pair["harness"][int(CHUNK * 0.99)] / pair["bare"][int(CHUNK * 0.99)]) for pair in pairs]
    name = f"p50 of {model.name}, hot loop ÷ bare loop, same process and session"
    return [median(name, p50_ratios(pairs), 0.98, 1.02), median("p99, the same", p99, 0.9, 1.1)]


def floor(count: int) -> list[int]:
    """Do two clock reads and one append per sample, and nothing else.

    The hot loop keeps a second number, the start, and packs both; the ratio to this floor includes that.
    """
    clock, samples = time.perf_counter_ns, []
    append = samples.append
    for _ in range(count):
        begin = clock()
        append(clock() - begin)
    return samples


def nothing(feed: object) -> tuple[()]:
    """Be an inference that does nothing."""
    return ()


def recording(folder: Path, rounds: int = 41, count: int = 20_000) -> list[Figure]:
    """Compare what the hot loop spends on a sample with the floor, alternating."""
    ratios, per_sample = [], []
    feeds = cycle([{}])
    for _ in range(rounds):
        t0 = time.perf_counter_ns()
        floor(count)
        t1 = time.perf_counter_ns()
        timed(nothing, feeds, count, time.perf_counter_ns)
        t2 = time.perf_counter_ns()
        ratios.append((t2 - t1) / (t1 - t0))
        per_sample.append((t2 - t1) / count)
    return [
        median("recording a request ÷ two clock reads and an append", ratios, 0, 2),
        median("recording a request", per_sample, 0, float("inf"), "ns"),
    ]


def parent_cpu(folder: Path, seconds: float = 6.0) -> list[Figure]:
    """Measure which fraction of one core the parent uses while a child measures, the live display included."""
    from rich.console import Console

    from harness.report.progress import Live

    job = trial(layered(folder, 75), seconds, fresh=True)
    (folder / "trial").mkdir()
    with (folder / "terminal").open("w") as terminal, Live(Console(file=terminal, force_terminal=True)) as live:
        begin, used = time.monotonic(), time.process_time()
        outcome = run_job(ProcessLauncher(), folder / "trial", job, Terms(folder, job.target.limits), live.tick)
        fraction = (time.process_time() - used) / (time.monotonic() - begin)
    assert outcome.status == "ok", outcome.message
    return [Figure("parent's CPU while a child measures", 100 * fraction, "% of a core", 1, 0, 2)]


def large_analysis(folder: Path, count: int = 30_000_000, trials: int = 30) -> list[Figure]:
    """Find the percentiles of as many requests as a cell can have, in a process of its own: time, and peak memory."""
    rng, size = np.random.default_rng(0), count // trials
    paths = [folder / f"{number}.npy" for number in range(trials)]
    for path in paths:
        np.save(path, (1e5 * np.exp(0.5 * rng.standard_normal(size, dtype=np.float32))).astype(np.int64))
    code = (
        "import sys, time, numpy as np\n"
        "from harness.stats.pooled import pooled_quantiles\n"
        "t = time.perf_counter()\n"
        "pooled_quantiles([np.load(path, mmap_mode='r') for path in sys.argv[1:]], (.5, .9, .95, .99, .999))\n"
        "print(time.perf_counter() - t)\n"
        "hwm = [l for l in open('/proc/self/status') if l.startswith('VmHWM')][0]\n"
        "print(int(hwm.split()[1]) / 1024)\n"
    )
    out = subprocess.run([sys.executable, "-c", code, *map(str, paths)], check=True, capture_output=True, text=True)
    seconds, mib = map(float, out.stdout.split())
    return [
        Figure(f"percentiles of {trials} trials of 10⁶ requests", seconds, "s", count, 0, 10),
        Figure("peak memory of that", mib, "MiB", count, 0, 1024),
    ]
