"""Small models made for a test: ONNX graphs, and modules beside a suite. Loaded by path from conftest files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

DTYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
    "string": TensorProto.STRING,
}
Shape = list[int | str]


def onnx_model(
    path: Path,
    nodes: list[object],
    inputs: dict[str, tuple[str, Shape]],
    outputs: dict[str, tuple[str, Shape]],
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 17,
) -> Path:
    """Write an ONNX model (IR 8) of `nodes`; inputs and outputs are name → (dtype, shape)."""
    infos = [
        [helper.make_tensor_value_info(name, DTYPES[kind], shape) for name, (kind, shape) in side.items()]
        for side in (inputs, outputs)
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "test", *infos, initializer=tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def doubled(path: Path, kind: str = "float32", shape: Shape | None = None) -> Path:
    """`y = x + x`: as many outputs as inputs, by default [batch, 3]."""
    shape = shape if shape is not None else ["batch", 3]
    return onnx_model(path, [helper.make_node("Add", ["x", "x"], ["y"])], {"x": (kind, shape)}, {"y": (kind, shape)})


def passed(path: Path, kind: str, shape: Shape) -> Path:
    """`y = x`, for dtypes that cannot be added."""
    return onnx_model(path, [helper.make_node("Identity", ["x"], ["y"])], {"x": (kind, shape)}, {"y": (kind, shape)})


def picked(path: Path) -> Path:
    """Two inputs: `scores` float32 [batch, classes] and `row` int64 [batch, 1]; gives scores at `row`."""
    return onnx_model(
        path,
        [helper.make_node("GatherElements", ["scores", "row"], ["picked"], axis=1)],
        {"scores": ("float32", ["batch", "classes"]), "row": ("int64", ["batch", 1])},
        {"picked": ("float32", ["batch", 1])},
    )


def perceptron(path: Path, weights: dict[str, np.ndarray], hidden: str = "Relu", **more: object) -> Path:
    """`y = second · hidden(first · x + bias)`: float32 [batch, features] to [batch, classes]."""
    nodes = [
        helper.make_node("Gemm", ["x", "first", "bias"], ["sum"]),
        helper.make_node(hidden, ["sum"], ["active"]),
        helper.make_node("MatMul", ["active", "second"], ["y"]),
    ]
    shapes = [weights["first"].shape[0], weights["second"].shape[1]]
    sides = [{name: ("float32", ["batch", size])} for name, size in zip("xy", shapes, strict=True)]
    return onnx_model(path, nodes, *sides, weights, **more)


def seeded(features: int, width: int, classes: int) -> dict[str, np.ndarray]:
    """Weights of a perceptron, from a fixed seed."""
    rng = np.random.default_rng(3)
    shapes = {"first": (features, width), "bias": (width,), "second": (width, classes)}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


TORCH_MODULES = '''
import numpy as np
import torch
from torch import nn


class Linear(nn.Module):
    """Three numbers in, four scores out."""

    example_inputs = {"x": np.zeros((2, 3), np.float32)}

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 4)

    def forward(self, x):
        return self.layer(x)


class Tokens(nn.Module):
    """Two inputs: token numbers int64 [batch, tokens] and their mask float32."""

    example_inputs = {"tokens": np.zeros((2, 5), np.int64), "mask": np.ones((2, 5), np.float32)}

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(2, 8), nn.Linear(8, 3)

    def forward(self, tokens, mask):
        return self.head((self.embed(tokens) * mask.unsqueeze(-1)).sum(1))


class Unnamed(nn.Module):
    def forward(self, *args):
        return args[0]


class LabelFirst(Linear):
    """Gives class numbers before scores."""

    def forward(self, x):
        scores = self.layer(x)
        return scores.argmax(1), scores


class Dropping(Linear):
    """Would differ from call to call if it were not put into evaluation."""

    def forward(self, x):
        return nn.functional.dropout(self.layer(x), 0.5, self.training)


def linear():
    return Linear()


def tokens():
    return Tokens()


def unnamed():
    return Unnamed()


def label_first():
    return LabelFirst()


def dropping():
    return Dropping()


def nothing():
    return 3


def broken():
    raise ValueError("the weights are gone")
'''
