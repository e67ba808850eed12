"""The models that the figures are measured on, and the jobs that measure them."""

from __future__ import annotations

import time
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from harness.runtimes.onnxruntime import OnnxRuntime, OnnxSession
from harness.scenarios.closed_loop import durations, timed
from harness.scenarios.single_stream import SingleStream
from harness.spec.arrays import Array
from harness.spec.find import load_suite, load_target
from harness.spec.suite import Candidate
from harness.spec.target import Target
from harness.spec.variant import Variant
from harness.spec.wire import Trial

ROWS = 64
SCENARIO = "interactive"
ONE_THREAD, ALL_CPUS = load_target("cpu-onnx-1t"), load_target("cpu-onnx")


class Model(NamedTuple):
    """A model's file, the folder of its rows (`inputs/<name>.npy`), its target, and what a request takes (s)."""

    name: str
    path: Path
    rows: Path
    target: Target
    request_s: float


class Shape(NamedTuple):
    """How the layers of a model look: its row, the weights of a layer, the operator."""

    row: tuple[int, ...]
    weights: tuple[int, ...]
    operator: str


DENSE = Shape((256,), (256, 256), "MatMul")
"""Reads all its weights for each request: from 1 ms on they fill the caches that the CPUs share."""
WIDE = Shape((512,), (512, 512), "MatMul")
CONVOLUTION = Shape((16, 32, 32), (16, 16, 3, 3), "Conv")
"""Computes much on few weights, as most models do."""


def onnx_bytes(shape: Shape, layers: int) -> bytes:
    """Make an ONNX model of `layers` layers with ReLU."""
    rng, fan_in = np.random.default_rng(0), np.prod(shape.weights[1:])
    extra: dict[str, list[int]] = {"pads": [1, 1, 1, 1]} if shape.operator == "Conv" else {}
    nodes, weights, name = [], [], "x"
    for layer in range(layers):
        values = (rng.standard_normal(shape.weights) * np.sqrt(2 / fan_in)).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{layer}"))
        nodes.append(helper.make_node(shape.operator, [name, f"w{layer}"], [f"m{layer}"], **extra))
        nodes.append(helper.make_node("Relu", [f"m{layer}"], [f"r{layer}"]))
        name = f"r{layer}"
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", *shape.row]) for n in ("x", name)]
    made = helper.make_model(
        helper.make_graph(nodes, "layers", ends[:1], ends[1:], weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def session_of(path: Path, target: Target = ONE_THREAD) -> OnnxSession:
    """Load a model as the harness does."""
    threads = int(target.options.get("intra_op_threads", 2))
    return OnnxRuntime().load(Variant(format="onnx", path=str(path)), target, threads, 0, 0)


def layered(folder: Path, microseconds: float, shape: Shape = DENSE, target: Target = ONE_THREAD) -> Model:
    """Make a model of layers that takes about `microseconds` here."""
    name = f"{shape.operator} {microseconds:g} µs"
    folder = folder / f"{shape.operator}-{shape.weights[0]}-{microseconds:g}-{target.name}"
    rows = np.random.default_rng(1).standard_normal((ROWS, *shape.row)).astype(np.float32)
    _write_rows(folder, {"x": rows})
    path, layers, median = folder / "model.onnx", 1, 0.0
    for _ in range(6):
        path.write_bytes(onnx_bytes(shape, layers))
        median = _median_s(path, target, rows) * 1e6
        if 0.75 <= median / microseconds <= 1.3:
            break
        layers = max(1, round(layers * microseconds / median))
    return Model(name, path, folder, target, median / 1e6)


def _median_s(path: Path, target: Target, rows: Array) -> float:
    """Return the median of a model's requests over about 0.1 s (s)."""
    session = session_of(path, target)
    feeds = cycle([{"x": row[None]} for row in rows])
    first = float(np.median(durations(timed(session.infer, feeds, 5, session.clock))))
    count = max(5, min(2_000, round(1e8 / first)))
    return float(np.median(durations(timed(session.infer, feeds, count, session.clock)))) / 1e9


def torch_cnn(folder: Path, threads: int = 1, candidate: str = "cnn-small") -> Model:
    """Take a convolutional network of the suite `digits`, as torch runs it."""
    import torch

    from harness.suites.digits.data import load

    suite, file = load_suite("digits")
    path = file.parent / next(each.path for each in suite.candidate if each.name == candidate and each.path)
    rows = load()["inputs"]["pixels"][:ROWS]
    target = load_target("cpu-torch")
    target = msgspec.structs.replace(target, options={**target.options, "intra_op_threads": threads})
    folder = folder / f"torch-{candidate}-{threads}"
    _write_rows(folder, {"pixels": rows})
    torch.set_num_threads(threads)
    module, tensor = torch.export.load(path).module(), torch.from_numpy(rows[:1])
    took = []
    with torch.inference_mode():
        for _ in range(200):
            begin = time.perf_counter()
            module(tensor)
            took.append(time.perf_counter() - begin)
    return Model(f"torch {candidate}", path, folder, target, float(np.median(took)))


def _write_rows(folder: Path, rows: dict[str, Array]) -> None:
    (folder / "inputs").mkdir(parents=True)
    for name, array in rows.items():
        np.save(folder / "inputs" / f"{name}.npy", array)


def trial(model: Model, seconds: float, turn_s: float = 0.025, fresh: bool = False, cpu: int | None = None) -> Trial:
    """Return the job that measures a model for `seconds` in turns of `turn_s`; its paths are absolute."""
    return Trial(
        candidate=Candidate(name="model", path=str(model.path)),
        target=model.target,
        variant=Variant(format=model.path.suffix[1:], path=str(model.path)),
        scenarios=(SingleStream(name=SCENARIO, seconds=seconds),),
        dataset=str(model.rows),
        turn_s=turn_s,
        fresh=fresh,
        cpus=None if cpu is None else (cpu,),
    )
