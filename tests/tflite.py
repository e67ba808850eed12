"""LiteRT models for tests, written through the schema that ai-edge-litert ships."""

from __future__ import annotations

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES = {
    **{"float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32, "int64": schema.TensorType.INT64},
    **{"int8": schema.TensorType.INT8, "bool": schema.TensorType.BOOL, "string": schema.TensorType.STRING},
}


class Graph:
    """One graph that grows: `tensor` and `operator` add to it, `write` makes a file of it."""

    def __init__(self) -> None:
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.description = 3, "made by a test"
        self.model.subgraphs, self.model.buffers, self.model.operatorCodes = [self.graph], [schema.BufferT()], []
        self.graph.tensors, self.graph.operators = [], []

    def tensor(self, name, kind, shape, data=None, any_size=()):
        """Add a tensor, a constant where it has data; axes of `any_size` take any."""
        made = schema.TensorT()
        made.name, made.type, made.shape, made.buffer = name, _TYPES[kind], [*shape], 0
        if any_size:
            made.shapeSignature = [-1 if axis in any_size else size for axis, size in enumerate(shape)]
        if data is not None:
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(schema.BufferT())
            self.model.buffers[-1].data = np.frombuffer(np.ascontiguousarray(data, kind).tobytes(), np.uint8)
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def operator(self, code, inputs, outputs, options=None):
        """Add an operator; `options` is the schema's table of it, such as `AddOptionsT()`."""
        known, made = schema.OperatorCodeT(), schema.OperatorT()
        known.builtinCode, known.version = getattr(schema.BuiltinOperator, code), 1
        known.deprecatedBuiltinCode = min(known.builtinCode, 127)
        self.model.operatorCodes.append(known)
        made.opcodeIndex, made.inputs, made.outputs = len(self.model.operatorCodes) - 1, [*inputs], [*outputs]
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            made.builtinOptions, made.builtinOptionsType = options, getattr(schema.BuiltinOptions, name)
        self.graph.operators.append(made)

    def write(self, path, inputs, outputs, signature=None):
        """Write the model; `signature` is (inputs, outputs), names → tensors each."""
        self.graph.inputs, self.graph.outputs = [*inputs], [*outputs]
        if signature is not None:
            made = schema.SignatureDefT()
            made.signatureKey, made.subgraphIndex = "serving_default", 0
            made.inputs, made.outputs = (_map(names) for names in signature)
            self.model.signatureDefs = [made]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


def _map(names):
    made = []
    for name, index in names.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        made.append(entry)
    return made


def doubled(path, kind="float32", shape=(1, 3), any_size=(), signature=True):
    """Write a model whose output `y` is its input `x` added to itself."""
    graph = Graph()
    x, y = (graph.tensor(f"graph/{name}", kind, shape, any_size=any_size) for name in ("in", "out"))
    graph.operator("ADD", [x, x], [y], schema.AddOptionsT())
    return graph.write(path, [x], [y], ({"x": x}, {"y": y}) if signature else None)


def perceptron(path, first, second, signature=True):
    """Write relu(x·first)·second, without biases: `x` [1, inputs], `y` [1, outputs]."""
    graph = Graph()
    x = graph.tensor("graph/x", "float32", (1, first.shape[0]))
    hidden = graph.tensor("graph/hidden", "float32", (1, first.shape[1]))
    y = graph.tensor("graph/y", "float32", (1, second.shape[1]))
    for place, (before, weights, after) in enumerate([(x, first, hidden), (hidden, second, y)]):
        constant = graph.tensor(f"graph/w{place}", "float32", weights.T.shape, weights.T)
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = (
            schema.ActivationFunctionType.NONE if place else schema.ActivationFunctionType.RELU
        )
        graph.operator("FULLY_CONNECTED", [before, constant, -1], [after], options)
    return graph.write(path, [x], [y], ({"x": x}, {"y": y}) if signature else None)


def convolved(path, row, layers):
    """Write `layers` 3 × 3 convolutions with ReLU over rows of [height, width, channels], which keep that shape."""
    graph, rng = Graph(), np.random.default_rng(0)
    channels, shape = row[-1], (1, *row)
    last = first = graph.tensor("graph/x", "float32", shape)
    for layer in range(layers):
        weights = rng.standard_normal((channels, 3, 3, channels)).astype(np.float32) / np.sqrt(9 * channels)
        filters = graph.tensor(f"graph/w{layer}", "float32", weights.shape, weights)
        bias = graph.tensor(f"graph/b{layer}", "float32", (channels,), np.zeros(channels, np.float32))
        options = schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.SAME, 1, 1
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU
        after = graph.tensor(f"graph/y{layer}", "float32", shape)
        graph.operator("CONV_2D", [last, filters, bias], [after], options)
        last = after
    return graph.write(path, [first], [last], ({"x": first}, {"y": last}))
