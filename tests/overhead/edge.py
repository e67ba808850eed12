"""Is a model on an edge runtime as fast through our session as when its library is called by hand?"""

from __future__ import annotations

import importlib.util
import inspect
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from figure import Figure, median
from loop import alternating, p50_ratios
from made import CONVOLUTION, onnx_bytes

from harness.runtimes.feeds import pool
from harness.scenarios.closed_loop import durations, timed
from harness.spec.find import load_target
from harness.spec.variant import Variant

SMALL_S, LARGE_S, CHUNK_S = 50e-6, 5e-3, 0.03
ROWS = np.random.default_rng(1).standard_normal((64, *CONVOLUTION.row)).astype(np.float32)


def openvino_session(folder: Path, layers: int) -> Any:
    """Load an ONNX model of convolutions on OpenVINO."""
    from harness.runtimes.openvino import OpenVinoRuntime

    path = folder / f"{layers}.onnx"
    path.write_bytes(onnx_bytes(CONVOLUTION, layers))
    return OpenVinoRuntime().load(Variant(format="onnx", path=str(path)), load_target("edge-openvino"), 1, 0, 0)


def executorch_session(folder: Path, layers: int) -> Any:
    """Load the same as an ExecuTorch program."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    from harness.runtimes.executorch import load_program

    torch.manual_seed(0)
    convolutions = [torch.nn.Conv2d(16, 16, 3, padding=1, bias=False) for _ in range(layers)]
    model = torch.nn.Sequential(*(each for conv in convolutions for each in (conv, torch.nn.ReLU()))).eval()
    exported = torch.export.export(model, (torch.from_numpy(ROWS[:1]),))
    path = folder / f"{layers}.pte"
    path.write_bytes(to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch().buffer)
    return load_program(path, threads=1)


def litert_session(folder: Path, layers: int) -> Any:
    """Load convolutions as a LiteRT model; it reads the rows as [height, width, channels]."""
    from harness.runtimes.litert import load_model

    spec = importlib.util.spec_from_file_location("made_tflite", Path(__file__).parents[1] / "tflite.py")
    tflite = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tflite)
    return load_model(tflite.convolved(folder / f"{layers}.tflite", CONVOLUTION.row, layers), threads=1)


def openvino_by_hand(session: Any) -> Callable[[Any, int], list[int]]:
    """Return a loop of the request's own `infer`."""
    request = inspect.getclosurevars(session.infer).nonlocals["run"].__self__

    def bare(feeds: Any, count: int) -> list[int]:
        samples = []
        for _ in range(count):
            (array,) = next(feeds).values()
            begin = time.perf_counter_ns()
            request.infer(array, share_inputs=True).to_tuple()
            samples.append(time.perf_counter_ns() - begin)
        return samples

    return bare


def executorch_by_hand(session: Any) -> Callable[[Any, int], list[int]]:
    """Return a loop of the loaded method."""
    import torch

    method = inspect.getclosurevars(session.infer).nonlocals["method"]

    def bare(feeds: Any, count: int) -> list[int]:
        samples = []
        for _ in range(count):
            (array,) = next(feeds).values()
            begin = time.perf_counter_ns()
            method((torch.from_numpy(array),))[0].numpy()
            samples.append(time.perf_counter_ns() - begin)
        return samples

    return bare


def litert_by_hand(session: Any) -> Callable[[Any, int], list[int]]:
    """Return a loop of the interpreter's own calls."""
    interpreter = session.interpreter
    given, taken = (each()[0]["index"] for each in (interpreter.get_input_details, interpreter.get_output_details))

    def bare(feeds: Any, count: int) -> list[int]:
        samples = []
        for _ in range(count):
            (array,) = next(feeds).values()
            begin = time.perf_counter_ns()
            interpreter.set_tensor(given, array)
            interpreter.invoke()
            interpreter.get_tensor(taken)
            samples.append(time.perf_counter_ns() - begin)
        return samples

    return bare


RUNTIMES = {
    "openvino": ("openvino", openvino_session, openvino_by_hand),
    "executorch": ("executorch", executorch_session, executorch_by_hand),
    "litert": ("ai_edge_litert", litert_session, litert_by_hand),
}
"""By name: the package, how a session of some layers is made, how its library is called by hand."""


def sized(make: Callable[[Path, int], Any], folder: Path, wanted_s: float) -> tuple[Any, float]:
    """Return a session of as many layers as take about `wanted_s` here, and what a request takes (s)."""
    layers, took_s, session = 1, 0.0, None
    for _ in range(4):
        session = make(folder, layers)
        feeds = iter([{session.inputs[0].name: row[None]} for row in ROWS])
        took_s = float(np.median(durations(timed(session.infer, feeds, 30, session.clock)))) / 1e9
        if 0.75 <= took_s / wanted_s <= 1.3:
            break
        layers = max(1, round(layers * wanted_s / took_s))
    return session, took_s


def fidelity_of_edge(folder: Path) -> list[Figure]:
    """Compare a small model and one of 5 ms on each edge runtime that is installed."""
    return [
        figure for name in RUNTIMES if importlib.util.find_spec(RUNTIMES[name][0]) for figure in _fidelity(name, folder)
    ]


def _fidelity(name: str, folder: Path) -> list[Figure]:
    figures, (_, make, by_hand) = [], RUNTIMES[name]
    for wanted_s in (SMALL_S, LARGE_S):
        session, took_s = sized(make, folder, wanted_s)
        feeds = pool(session.inputs, {session.inputs[0].name: ROWS}, 1, 64)
        chunk = max(8, round(CHUNK_S / took_s))
        ratios = p50_ratios(alternating(session, feeds, by_hand(session), chunk))
        text = f"p50 of {took_s * 1e6:.0f} µs on {name}, hot loop ÷ bare loop, same session"
        figures.append(median(text, ratios, 0.98, 1.02, note=f"{chunk} requests a side in each of {len(ratios)} pairs"))
    return figures
