"""The figures `make overhead` prints: each is a ratio against a baseline of the same process and minute."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from harness.launch.base import Terms, run_job
from harness.launch.process import ProcessLauncher
from harness.runtimes.feeds import pool, synthesise
from harness.runtimes.onnxruntime import OnnxRuntime, OnnxSession
from harness.scenarios.closed_loop import durations, timed
from harness.scenarios.single_stream import SingleStream
from harness.spec.find import load_target
from harness.spec.suite import Candidate, Synthetic
from harness.spec.variant import Variant
from harness.spec.wire import Trial
from harness.worker.trial import quiet_gc

PAIRS, CHUNK = 120, 400
WIDTH = 256


class Figure(NamedTuple):
    """A measured figure: its name, value, unit, n, and the range it should be in."""

    name: str
    value: float
    unit: str
    n: int
    low: float
    high: float

    @property
    def reached(self) -> bool:
        """Whether the value is in its range."""
        return self.low <= self.value <= self.high


def model(layers: int) -> bytes:
    """Make an ONNX model of `layers` dense layers of 256 × 256 with ReLU."""
    rng = np.random.default_rng(0)
    nodes, weights, name = [], [], "x"
    for layer in range(layers):
        matrix = rng.standard_normal((WIDTH, WIDTH)).astype(np.float32) / 16
        weights.append(numpy_helper.from_array(matrix, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [name, f"w{layer}"], [f"m{layer}"]))
        nodes.append(helper.make_node("Relu", [f"m{layer}"], [f"r{layer}"]))
        name = f"r{layer}"
    shapes = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", WIDTH]) for n in ("x", name)]
    graph = helper.make_graph(nodes, "dense", shapes[:1], shapes[1:], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def session_of(path: Path) -> OnnxSession:
    """Load a model as the harness does, on one thread."""
    return OnnxRuntime().load(Variant(format="onnx", path=str(path)), load_target("cpu-onnx-1t"), 1, 0, 0)


def calibrated(folder: Path) -> tuple[Path, float]:
    """Make a model that takes 50–100 µs here; returns its file and its median in µs."""
    path, layers, median = folder / "dense.onnx", 8, 0.0
    for _ in range(6):
        path.write_bytes(model(layers))
        session = session_of(path)
        feeds = cycle(pool(session.inputs, synthesise(session.inputs, Synthetic(), 0), 1, 64))
        median = float(np.median(durations(timed(session.infer, feeds, 500, session.clock)))) / 1e3
        if 50 <= median <= 100:
            break
        layers = max(1, round(layers * 75 / median))
    return path, median


def bare(session: Any, names: list[str], feeds: Any, count: int) -> list[int]:
    """Time inferences as one would by hand."""
    samples = []
    for _ in range(count):
        feed = next(feeds)
        begin = time.perf_counter_ns()
        session.run(names, feed)
        samples.append(time.perf_counter_ns() - begin)
    return samples


def fidelity(folder: Path) -> list[Figure]:
    """Compare the harness's hot loop with a bare loop, alternating in chunks inside this process.

    Both call one session: two sessions of one model differ by some per cent, by where their weights lie.
    """
    path, median = calibrated(folder)
    session = session_of(path)
    by_hand = session.infer.func.__self__
    feeds = pool(session.inputs, synthesise(session.inputs, Synthetic(), 0), 1, 64)
    ours, theirs = cycle(feeds), cycle(feeds)
    runs: dict[str, Callable[[], Any]] = {
        "harness": lambda: durations(timed(session.infer, ours, CHUNK, session.clock)),
        "bare": lambda: bare(by_hand, list(session.outputs), theirs, CHUNK),
    }
    pairs = []
    with quiet_gc():
        for index in range(PAIRS + 5):
            order = ("harness", "bare") if index % 2 else ("bare", "harness")
            pairs.append({name: np.sort(runs[name]()) for name in order})
    pairs = pairs[5:]
    p50 = [float(np.median(pair["harness"]) / np.median(pair["bare"])) for pair in pairs]
    p99 = [float(pair["harness"][int(CHUNK * 0.99)] / pair["bare"][int(CHUNK * 0.99)]) for pair in pairs]
    return [
        Figure("the model's median inference", median, "µs", 500, 50, 100),
        Figure("p50, harness ÷ bare loop (median of pairs)", statistics.median(p50), "", PAIRS, 0.98, 1.02),
        Figure("p99, harness ÷ bare loop (median of pairs)", statistics.median(p99), "", PAIRS, 0.9, 1.1),
    ]


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


def recording(rounds: int = 41, count: int = 20_000) -> list[Figure]:
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
        Figure("recording a sample ÷ two clock reads and an append", statistics.median(ratios), "", rounds, 0, 2),
        Figure("recording a sample", statistics.median(per_sample), "ns", rounds, 0, float("inf")),
    ]


def parent_cpu(folder: Path, seconds: float = 6.0) -> list[Figure]:
    """Measure which fraction of one core the parent uses while a child measures, the live display included."""
    from rich.console import Console

    from harness.report.progress import Live

    path, _ = calibrated(folder)
    job = Trial(
        candidate=Candidate(name="dense", path=str(path)),
        target=load_target("cpu-onnx-1t"),
        variant=Variant(format="onnx", path=path.name),
        scenarios=(SingleStream(name="interactive", seconds=seconds),),
        synthetic=Synthetic(),
        min_samples=1_000_000,
        predict=False,
    )
    with (folder / "terminal").open("w") as terminal, Live(Console(file=terminal, force_terminal=True)) as live:
        begin, used = time.monotonic(), time.process_time()
        outcome = run_job(ProcessLauncher(), folder / "trial", job, Terms(folder, job.target.limits), live.tick)
        fraction = (time.process_time() - used) / (time.monotonic() - begin)
    assert outcome.status == "ok", outcome.message
    return [Figure("parent's CPU while a child measures", 100 * fraction, "% of a core", 1, 0, 2)]


def start_up(times: int = 9) -> list[Figure]:
    """Time `harness --help`, and count the heavy packages it imports."""
    command = [sys.executable, "-c", "from harness.cli.app import main; main()", "--help"]
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        took.append(time.perf_counter() - begin)
    found = subprocess.run(
        [sys.executable, "-X", "importtime", *command[1:]], capture_output=True, text=True, check=True
    )
    imported = {line.rpartition("|")[2].strip() for line in found.stderr.splitlines()}
    heavy = len(imported & {"numpy", "pandas", "torch", "matplotlib", "onnxruntime", "scipy"})
    return [
        Figure("harness --help", statistics.median(took), "s", times, 0, 0.25),
        Figure("heavy packages imported by --help", heavy, "", 1, 0, 0),
    ]


def large_analysis(folder: Path, count: int = 100_000_000) -> list[Figure]:
    """Summarise 10⁸ samples in a process of its own: time, and peak memory."""
    path = folder / "samples.npy"
    rng = np.random.default_rng(0)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.int64, shape=(count,))
    for start in range(0, count, 5_000_000):
        size = min(5_000_000, count - start)
        array[start : start + size] = (1e5 * np.exp(0.5 * rng.standard_normal(size))).astype(np.int64)
    del array
    code = (
        "import sys, time, resource, numpy as np\n"
        "from harness.stats.quantiles import summarise\n"
        "t = time.perf_counter()\n"
        "summarise(np.load(sys.argv[1], mmap_mode='r'), (.5, .9, .95, .99, .999))\n"
        "print(time.perf_counter() - t)\n"
        "hwm = [l for l in open('/proc/self/status') if l.startswith('VmHWM')][0]\n"
        "print(int(hwm.split()[1]) / 1024)\n"
    )
    out = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
    seconds, mib = map(float, out.stdout.split())
    return [
        Figure("analysing 10⁸ samples", seconds, "s", count, 0, 20),
        Figure("peak memory of that", mib, "MiB", count, 0, 1024),
    ]


def measure_all() -> list[Figure]:
    """Measure every figure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [
            *fidelity(folder),
            *recording(),
            *parent_cpu(folder),
            *start_up(),
            *large_analysis(folder),
        ]
