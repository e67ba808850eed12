"""A small reader of ONNX files: nodes, and the sizes of constants. Weights are skipped, so it takes little memory.

The `onnx` package would read everything into memory, which a trial's peak would show, and need not be installed. Field
numbers are those of onnx.proto; the wire format is that of Protocol Buffers ("Encoding", protobuf.dev).
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

Value: TypeAlias = int | memoryview
_MODEL_GRAPH = 7
_NODE, _INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 5, 11, 12
_INPUT, _OUTPUT, _OPERATOR, _ATTRIBUTE = 1, 2, 4, 5
_NAME, _INT, _TENSOR, _SUBGRAPH, _INTS = 1, 3, 5, 6, 8
_DIMS, _TYPE, _INT64_DATA, _TENSOR_NAME, _RAW = 1, 2, 7, 8, 9
_INFO_NAME, _INFO_TYPE, _TENSOR_TYPE, _TENSOR_SHAPE, _DIM, _DIM_VALUE, _DIM_SYMBOL = 1, 2, 1, 2, 1, 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_INT64 = 7
_FEW = 16


class Constant(NamedTuple):
    """A constant's sizes and, where it is a few int64, its numbers."""

    dims: tuple[int, ...]
    numbers: tuple[int, ...] = ()


class Node(NamedTuple):
    """An operator with its inputs and outputs ("" where one is left out) and its integer attributes."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, tuple[int, ...]]

    def number(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        return (self.attributes.get(name) or (default,))[0]


class Graph(NamedTuple):
    """Nodes in order, those of subgraphs behind the node that has them, and constants by name."""

    nodes: list[Node]
    constants: dict[str, Constant]


class Signature(NamedTuple):
    """What a model takes, with each input's sizes or symbols ("" where it has neither), and what it gives, in order.

    Inputs that have a value in the file are left out.
    """

    inputs: dict[str, tuple[int | str, ...]]
    outputs: tuple[str, ...]


def read_graph(path: Path) -> Graph:
    """Read a model's graph. Raises ValueError, IndexError or OSError where the file is none."""
    graph = Graph([], {})
    for view in _graphs(path):
        _read_into(graph, view)
    return graph


def read_signature(path: Path) -> Signature:
    """Read a model's inputs and outputs, and nothing of its nodes. Errors as in `read_graph`."""
    inputs, outputs, valued = dict[str, tuple[int | str, ...]](), list[str](), set[str]()
    for number, value in (field for view in _graphs(path) for field in _fields(view)):
        if number == _GRAPH_INPUT:
            inputs |= [_value_info(_part(value))]
        elif number == _GRAPH_OUTPUT:
            outputs.append(_value_info(_part(value))[0])
        elif number == _INITIALIZER:
            valued.add(_text(_field(_part(value), _TENSOR_NAME)))
    return Signature({name: sizes for name, sizes in inputs.items() if name not in valued}, tuple(outputs))


def _graphs(path: Path) -> Iterator[memoryview]:
    with path.open("rb") as file:
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    yield from (_part(value) for number, value in _fields(whole) if number == _MODEL_GRAPH)


def _value_info(view: memoryview) -> tuple[str, tuple[int | str, ...]]:
    """Return a value's name and the sizes of its tensor type; no sizes where it is of another type."""
    shape = _field(_field(_field(view, _INFO_TYPE), _TENSOR_TYPE), _TENSOR_SHAPE)
    sizes = tuple(_size(_part(value)) for number, value in _fields(shape) if number == _DIM)
    return _text(_field(view, _INFO_NAME)), sizes


def _size(view: memoryview) -> int | str:
    for number, value in _fields(view):
        if number == _DIM_VALUE and isinstance(value, int):
            return value
        if number == _DIM_SYMBOL:
            return _text(value)
    return ""


def _field(view: memoryview, wanted: int) -> memoryview:
    """Return a part of a message; nothing where it has no such part."""
    return next((_part(value) for number, value in _fields(view) if number == wanted), memoryview(b""))


def _read_into(graph: Graph, view: memoryview) -> None:
    for number, value in _fields(view):
        if number == _INITIALIZER:
            name, constant = _constant(_part(value))
            graph.constants[name] = constant
        elif number == _NODE:
            _read_node(graph, _part(value))


def _read_node(graph: Graph, view: memoryview) -> None:
    names: dict[int, list[str]] = {_INPUT: [], _OUTPUT: [], _OPERATOR: []}
    attributes, tensors, subgraphs = dict[str, tuple[int, ...]](), list[Constant](), list[memoryview]()
    for number, value in _fields(view):
        if number in names:
            names[number].append(_text(value))
        elif number == _ATTRIBUTE:
            attributes |= _attribute(_part(value), tensors, subgraphs)
    outputs = tuple(names[_OUTPUT])
    if tensors and outputs:
        graph.constants[outputs[0]] = tensors[0]
    graph.nodes.append(Node("".join(names[_OPERATOR]), tuple(names[_INPUT]), outputs, attributes))
    for subgraph in subgraphs:
        _read_into(graph, subgraph)


def _attribute(view: memoryview, tensors: list[Constant], subgraphs: list[memoryview]) -> dict[str, tuple[int, ...]]:
    """Return an attribute's integers by its name; a tensor or subgraph is appended to its list."""
    name, numbers = "", list[int]()
    for number, value in _fields(view):
        if number == _NAME:
            name = _text(value)
        elif number in (_INT, _INTS):
            numbers.extend(_integers(value))
        elif number == _TENSOR:
            tensors.append(_constant(_part(value))[1])
        elif number == _SUBGRAPH:
            subgraphs.append(_part(value))
    return {name: tuple(numbers)}


def _constant(view: memoryview) -> tuple[str, Constant]:
    name, kind, dims, numbers = "", 0, list[int](), list[int]()
    for number, value in _fields(view):
        if number == _DIMS:
            dims.extend(_integers(value))
        elif number == _TYPE and isinstance(value, int):
            kind = value
        elif number == _INT64_DATA:
            numbers.extend(_integers(value))
        elif number == _TENSOR_NAME:
            name = _text(value)
        elif number == _RAW and kind == _INT64 and len(_part(value)) <= 8 * _FEW:
            numbers = np.frombuffer(bytes(_part(value)), "<i8").tolist()
    return name, Constant(tuple(dims), tuple(numbers[:_FEW]))


def _fields(view: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield a message's fields: number, and an integer or the bytes (not copied)."""
    at = 0
    while at < len(view):
        key, at = _varint(view, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(view, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(view, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("not a Protocol Buffers message")
        yield key >> 3, view[at : at + size]
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[at]
        value, at = value | (byte & 127) << shift, at + 1
        if byte < 128:
            return value, at
        shift += 7


def _integers(value: Value) -> list[int]:
    """Return an int64 field, packed or not."""
    found, at = [value] if isinstance(value, int) else [], 0
    while isinstance(value, memoryview) and at < len(value):
        number, at = _varint(value, at)
        found.append(number)
    return [number - (1 << 64) if number >> 63 else number for number in found]


def _part(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("not an ONNX model")
    return value


def _text(value: Value) -> str:
    return bytes(_part(value)).decode()
