"""What an ONNX graph tells of its inputs: they are followed through the operators that keep their axes.

Where they meet a weight, the weight's size is theirs. All of it is a hint: a wrong one costs a guess, not a result.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from harness.runtimes.base import Hint
from harness.runtimes.onnx_graph import Constant, Graph, Node, read_graph

_SAME = [
    *("Identity", "Cast", "CastLike", "Relu", "Neg", "Abs", "Log", "Exp", "Sqrt", "Sigmoid", "Tanh", "Clip", "Dropout"),
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Pad", "Not", "Expand"),
]
_AXIS_BY_AXIS = ["Add", "Sub", "Mul", "Div", "Pow", "Where", "And", "Or", "Equal", "Less", "Greater"]
_MATMULS = ["MatMul", "MatMulInteger", "QLinearMatMul"]
_CONVOLUTIONS = ["Conv", "ConvInteger", "QLinearConv"]
_RECURRENT = ["LSTM", "GRU", "RNN"]
_INITIAL_STATES = (5, 6)
_IMAGE_RANK = 4


class Trace(NamedTuple):
    """A value made of an input: for each of its axes, the input's axis that it is."""

    name: str
    axes: tuple[int | None, ...]


Kind: TypeAlias = Literal["", "image", "signal", "ids"]


class _Found:
    """The hints collected so far."""

    def __init__(self, graph: Graph) -> None:
        self.constants: dict[str, Constant] = graph.constants
        self.traces: dict[str, Trace] = {}
        self.hints: dict[str, Hint] = {}

    def size(self, trace: Trace, axis: int, size: int) -> None:
        """Note that an axis has this size; the first weight met counts."""
        own = trace.axes[axis] if -len(trace.axes) <= axis < len(trace.axes) else None
        hint = self.hints[trace.name]
        if own is not None and size > 1 and own not in hint.sizes:
            self.hints[trace.name] = hint._replace(sizes={**hint.sizes, own: size})

    def below(self, trace: Trace, rows: int) -> None:
        """Note that an input indexes a table of `rows` rows."""
        hint = self.hints[trace.name]
        below = min(rows, hint.ids_below or rows)
        self.hints[trace.name] = hint._replace(ids_below=below, kind=hint.kind or "ids")

    def kind(self, trace: Trace, kind: Kind) -> None:
        """Note what an input is used as."""
        hint = self.hints[trace.name]
        self.hints[trace.name] = hint._replace(kind=hint.kind or kind)

    def batch(self, trace: Trace, axis: int) -> None:
        """Note the axis that is the batch."""
        own = trace.axes[axis] if axis < len(trace.axes) else None
        self.hints[trace.name] = self.hints[trace.name]._replace(batch=own)

    def fold(self, node: Node) -> None:
        """Make a constant of what is computed from constants alone, without computing it: weights are often packed."""
        given = [self.constants.get(name) for name in node.inputs]
        if not node.outputs or not given or given[0] is None:
            return
        if node.operator in _SAME:
            self.constants[node.outputs[0]] = given[0]
        elif node.operator in _AXIS_BY_AXIS and None not in given:
            largest = max((constant.dims for constant in given if constant), key=lambda dims: (len(dims), dims))
            self.constants[node.outputs[0]] = Constant(largest)

    def weight(self, node: Node, index: int) -> tuple[int, ...] | None:
        """Return the sizes of a node's constant input."""
        constant = self.constants.get(node.inputs[index]) if index < len(node.inputs) else None
        return None if constant is None else constant.dims


def hints(path: Path, ranks: Mapping[str, int]) -> dict[str, Hint]:
    """Return input name → Hint; `ranks` are the inputs' numbers of axes. A file that cannot be read gives none."""
    try:
        graph = read_graph(path)
        return trace(graph, ranks)
    except (ValueError, IndexError, OSError):
        return {}


def trace(graph: Graph, ranks: Mapping[str, int]) -> dict[str, Hint]:
    """Follow the inputs through a graph."""
    found = _Found(graph)
    for name, rank in ranks.items():
        found.traces[name] = Trace(name, tuple(range(rank)))
        found.hints[name] = Hint()
    for node in graph.nodes:
        found.fold(node)
        for index, value in enumerate(node.inputs):
            traced = found.traces.get(value)
            if traced is None:
                continue
            axes = _follow(found, node, index, traced)
            if axes is not None and node.outputs:
                found.traces.setdefault(node.outputs[0], Trace(traced.name, tuple(axes)))
    return found.hints


def _follow(found: _Found, node: Node, index: int, traced: Trace) -> Iterable[int | None] | None:
    """Take hints from a node that takes a traced value, and return the axes of its output (None: lost)."""
    if node.operator in _SAME:
        return traced.axes if index == 0 else None
    if node.operator in _AXIS_BY_AXIS:
        return _broadcast(found, node, index, traced)
    step = _STEPS.get(node.operator)
    return step(found, node, index, traced) if step else None


def _broadcast(found: _Found, node: Node, index: int, traced: Trace) -> Iterable[int | None] | None:
    for other in range(len(node.inputs)):
        dims = found.weight(node, other) if other != index else None
        if dims is not None and len(dims) > len(traced.axes):
            return None
        if dims and node.operator == "Equal" and traced.axes[-1] is None:  # a one-hot code, written out
            found.below(traced, dims[-1])
        for back, size in enumerate(reversed(dims or ()), 1):
            found.size(traced, -back, size)
    return traced.axes


def _transpose(found: _Found, node: Node, index: int, traced: Trace) -> Iterable[int | None] | None:
    order = node.attributes.get("perm") or tuple(reversed(range(len(traced.axes))))
    return [traced.axes[axis] for axis in order]


def _unsqueeze(found: _Found, node: Node, index: int, traced: Trace) -> Iterable[int | None] | None:
    where = _axes(found, node)
    if index > 0 or not where:
        return None
    rank = len(traced.axes) + len(where)
    added, own = {axis % rank for axis in where}, iter(traced.axes)
    return [None if axis in added else next(own) for axis in range(rank)]


def _squeeze(found: _Found, node: Node, index: int, traced: Trace) -> Iterable[int | None] | None:
    where = _axes(found, node)
    if index > 0 or not where:
        return None
    removed = {axis % len(traced.axes) for axis in where}
    return [own for axis, own in enumerate(traced.axes) if axis not in removed]


def _reshape(found: _Found, node: Node, index: int, traced: Trace) -> Iterable[int | None] | None:
    constant = found.constants.get(node.inputs[1])
    if index > 0 or constant is None or constant.dims != (len(traced.axes) + 1,):
        return None
    return [*traced.axes, None] if constant.numbers[-1:] == (1,) else None


def _axes(found: _Found, node: Node) -> tuple[int, ...]:
    constant = found.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
    return constant.numbers if constant is not None else node.attributes.get("axes", ())


def _concat(found: _Found, node: Node, index: int, traced: Trace) -> Iterable[int | None] | None:
    joined = node.number("axis", 0) % len(traced.axes)
    return [None if axis == joined else own for axis, own in enumerate(traced.axes)]


def _convolution(found: _Found, node: Node, index: int, traced: Trace) -> None:
    quantised = 3 if node.operator == "QLinearConv" else 1
    dims = found.weight(node, quantised)
    found.kind(traced, "image" if len(traced.axes) == _IMAGE_RANK and index == 0 else "signal")
    if dims is not None and index == 0:
        found.size(traced, 1, dims[1] * node.number("group", 1))


def _matmul(found: _Found, node: Node, index: int, traced: Trace) -> Iterable[int | None] | None:
    quantised = 3 if node.operator == "QLinearMatMul" else 1
    dims = found.weight(node, quantised)
    if index > 0 or dims is None or len(dims) < 2:
        return None
    found.size(traced, -1, dims[-2])
    return [*traced.axes[:-1], None]


def _gemm(found: _Found, node: Node, index: int, traced: Trace) -> None:
    dims = found.weight(node, 1)
    if index == 0 and dims is not None:
        found.size(traced, -1, dims[1 if node.number("transB", 0) else 0])


def _recurrent(found: _Found, node: Node, index: int, traced: Trace) -> None:
    weights, recurrence = found.weight(node, 1), found.weight(node, 2)
    front = node.number("layout", 0) == 1
    if index == 0:
        found.batch(traced, 0 if front else 1)
        if weights is not None:
            found.size(traced, 2, weights[2])
    elif index in _INITIAL_STATES:
        found.batch(traced, 0 if front else 1)
        if recurrence is not None:
            found.size(traced, 1 if front else 0, recurrence[0])
            found.size(traced, 2, recurrence[2])


def _gather(found: _Found, node: Node, index: int, traced: Trace) -> None:
    dims = found.weight(node, 0)
    if index == 1 and dims:
        found.below(traced, dims[node.number("axis", 0) % len(dims)])


def _one_hot(found: _Found, node: Node, index: int, traced: Trace) -> None:
    depth = found.constants.get(node.inputs[1])
    if index == 0 and depth is not None and depth.numbers:
        found.below(traced, depth.numbers[0])


def _normalisation(found: _Found, node: Node, index: int, traced: Trace) -> Iterable[int | None] | None:
    dims = found.weight(node, 1)
    if index == 0 and dims:
        found.size(traced, -1 if node.operator.startswith("Layer") else 1, dims[-1])
    return traced.axes if index == 0 else None


def _spectrum(found: _Found, node: Node, index: int, traced: Trace) -> None:
    found.kind(traced, "signal")


_Step: TypeAlias = Callable[[_Found, Node, int, Trace], Iterable[int | None] | None]
_STEPS: dict[str, _Step] = {
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Concat": _concat,
    "Gemm": _gemm,
    "Gather": _gather,
    "OneHot": _one_hot,
    "STFT": _spectrum,
    "DFT": _spectrum,
    "BatchNormalization": _normalisation,
    "InstanceNormalization": _normalisation,
    "LayerNormalization": _normalisation,
    "SimplifiedLayerNormalization": _normalisation,
    **dict.fromkeys(_MATMULS, _matmul),
    **dict.fromkeys(_CONVOLUTIONS, _convolution),
    **dict.fromkeys(_RECURRENT, _recurrent),
}
