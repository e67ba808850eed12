"""LiteRT models (`.tflite`, formerly TensorFlow Lite) on the CPU: by XNNPACK where it has the operators.

What is not XNNPACK's runs on LiteRT's own kernels. A size is fixed unless the file says that any is right. Inputs and
outputs have the names of the file's signature; a file without one has the names of its tensors.
"""

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.runtimes.base import Feed, Infer, ModelError, Tensor, first_line, local_path, model_errors
from harness.spec.arrays import Array
from harness.spec.outcome import Fact
from harness.spec.target import Target
from harness.spec.variant import Variant

_FED = "fiub"
"""The kinds of numpy dtypes that are fed: floats, integers, bools."""


class _Port(NamedTuple):
    """An input or output: its name, its place among the interpreter's tensors, its dtype, its sizes (-1: any)."""

    name: str
    place: int
    dtype: np.dtype[Any]
    sizes: tuple[int, ...]


class LiteRtSession:
    """One `interpreter`. Inputs are copied into it and outputs out of it, both inside the sample."""

    def __init__(self, interpreter: Any, settings: Mapping[str, Fact]) -> None:
        self.signature, inputs, outputs = _ports(interpreter)
        if not inputs:
            raise ModelError("the model has no inputs, so there is nothing to feed")
        self.inputs = tuple(_tensor(port) for port in inputs)
        self.outputs = tuple(port.name for port in outputs)
        self.infer = _infer(interpreter, inputs, outputs)
        self.clock: Callable[[], int] = time.perf_counter_ns
        self.scope = nullcontext
        self.facts: Callable[[], Mapping[str, Fact]] = lambda: settings
        self.interpreter = interpreter

    def dtypes(self) -> set[str]:
        """Return the types of all tensors, weights among them."""
        return {np.dtype(each["dtype"]).name for each in self.interpreter.get_tensor_details()}


def _ports(interpreter: Any) -> tuple[str | None, list[_Port], list[_Port]]:
    """Return the key of the first graph's signature (None without one), and the inputs and outputs with its names."""
    taken, given = (_read(each) for each in (interpreter.get_input_details(), interpreter.get_output_details()))
    for key in interpreter.get_signature_list():
        signature = interpreter.get_signature_runner(key)
        named = [_named(details()) for details in (signature.get_input_details, signature.get_output_details)]
        if named[0].keys() == {port.place for port in taken} and named[1].keys() == {port.place for port in given}:
            told, answered = named
            return key, _renamed(taken, told), _renamed(given, answered)
    return None, taken, given


def _read(details: Sequence[Mapping[str, Any]]) -> list[_Port]:
    return [
        _Port(
            str(each["name"]),
            int(each["index"]),
            np.dtype(each["dtype"]),
            tuple(map(int, each["shape_signature"] if len(each["shape_signature"]) else each["shape"])),
        )
        for each in details
    ]


def _named(details: Mapping[str, Mapping[str, Any]]) -> dict[int, str]:
    return {int(each["index"]): name for name, each in details.items()}


def _renamed(ports: Sequence[_Port], names: Mapping[int, str]) -> list[_Port]:
    return [port._replace(name=names[port.place]) for port in ports]


def _tensor(port: _Port) -> Tensor:
    if port.dtype.kind not in _FED:
        raise ModelError(f"input '{port.name}' has the type {port.dtype.name}, which cannot be fed")
    sizes = (size if size >= 0 else _symbol(port.name, axis) for axis, size in enumerate(port.sizes))
    return Tensor(port.name, port.dtype, tuple(sizes))


def _symbol(name: str, axis: int) -> str:
    return "batch" if axis == 0 else f"{name}_{axis}"


def _infer(interpreter: Any, inputs: Sequence[_Port], outputs: Sequence[_Port]) -> Infer:
    """Return what calls an interpreter."""
    put, run, get = interpreter.set_tensor, interpreter.invoke, interpreter.get_tensor
    places, results = [(port.name, port.place) for port in inputs], [port.place for port in outputs]
    ((_, place), *_), (result, *_) = places, results

    def infer_one(feed: Feed) -> Sequence[Array]:
        (array,) = feed.values()
        put(place, array)
        run()
        return (get(result),)

    def infer_several(feed: Feed) -> Sequence[Array]:
        for name, index in places:
            put(index, feed[name])
        run()
        return [get(index) for index in results]

    infer = infer_one if (len(places), len(results)) == (1, 1) else infer_several
    resized = [port for port in inputs if -1 in port.sizes]
    return _resizing(interpreter, resized, infer) if resized else infer


def _resizing(interpreter: Any, inputs: Sequence[_Port], infer: Infer) -> Infer:
    """Return what gives inputs new sizes, within the sample, where a request has others than the one before."""
    before: dict[str, tuple[int, ...]] = {}

    def infer_resized(feed: Feed) -> Sequence[Array]:
        sizes = {port.name: feed[port.name].shape for port in inputs}
        if sizes != before:
            for port in inputs:
                interpreter.resize_tensor_input(port.place, sizes[port.name])
            interpreter.allocate_tensors()
            before.update(sizes)
        return infer(feed)

    return infer_resized


class LiteRtRuntime:
    """Loads `.tflite`, int8 too. Options: threads; `xnnpack = false` leaves all operators to LiteRT's own kernels."""

    formats = ("litert",)
    options: Mapping[str, type] = {"intra_op_threads": int, "xnnpack": bool}

    def unavailable(self, target: Target) -> str | None:
        """Say what is missing: the package, the device."""
        _library()
        return None if target.device == "cpu" else f"device '{target.device}' is not supported by this runtime (cpu)"

    def forkable(self, target: Target) -> bool:
        """Return True on the CPU: importing starts no threads, they belong to interpreters."""
        return target.device == "cpu"

    def versions(self) -> dict[str, str]:
        """Return ai-edge-litert's and numpy's version."""
        _library()
        return {"ai-edge-litert": version("ai-edge-litert"), "numpy": np.__version__}

    def load(self, variant: Variant, target: Target, threads: int, seed: int, sequence: int) -> LiteRtSession:
        """Make an interpreter with its threads, and allocate its tensors."""
        threads, xnnpack = int(target.options.get("intra_op_threads", threads)), target.options.get("xnnpack", True)
        return load_model(local_path(variant), threads, bool(xnnpack))


def load_model(path: Path, threads: int, xnnpack: bool = True) -> LiteRtSession:
    """Load a model with so many threads; raises ModelError where that is not possible."""
    library = _library()
    kernels = library.OpResolverType
    chosen = kernels.AUTO if xnnpack else kernels.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with model_errors(f"litert cannot load {path.name}", first_line):
        interpreter = library.Interpreter(
            model_path=str(path), num_threads=threads, experimental_op_resolver_type=chosen
        )
        interpreter.allocate_tensors()
        return LiteRtSession(interpreter, {"litert.threads": threads, "litert.xnnpack": xnnpack})


def _library() -> Any:
    """Import the interpreter."""
    return importlib.import_module("ai_edge_litert.interpreter")
