"""ONNX models on OpenVINO's CPU plug-in.

Where the CPU can, OpenVINO computes in bf16 of its own accord, and quantises activations that meet quantised weights.
Here it computes in f32 unless the target says otherwise; the session's settings record what it took. It computes f64 in
f32 and int64 in int32 on any CPU.
"""

import importlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness.runtimes.base import Feed, Infer, ModelError, Tensor, first_line, local_path, model_errors
from harness.runtimes.onnx_graph import Signature, read_signature
from harness.runtimes.onnx_hints import hints
from harness.spec.arrays import Array
from harness.spec.outcome import Fact
from harness.spec.target import Target
from harness.spec.variant import Variant

_DTYPES = {
    **{f"{kind}{bits}": f"{name}int{bits}" for kind, name in (("i", ""), ("u", "u")) for bits in (8, 16, 32, 64)},
    **{"f16": "float16", "f32": "float32", "f64": "float64", "boolean": "bool"},
}
"""Not `string`: feeding one corrupts the heap (2026.4: the process aborts at its end)."""
_CONVERTER = "openvino.tools.ovc"
_HINTS = ("latency", "throughput", "cumulative_throughput")
_PRECISIONS = ("f32", "bf16", "f16")
_RECORDED = (
    *("INFERENCE_PRECISION_HINT", "EXECUTION_MODE_HINT", "DYNAMIC_QUANTIZATION_GROUP_SIZE", "PERFORMANCE_HINT"),
    *("INFERENCE_NUM_THREADS", "NUM_STREAMS", "ENABLE_CPU_PINNING"),
)


class OpenVinoSession:
    """One infer request. It reads inputs where they lie, and its outputs are copies that no later call changes."""

    def __init__(self, compiled: Any, path: Path) -> None:
        signature = _signature(path)
        self.inputs = tuple(_tensor(port, signature) for port in compiled.inputs)
        if not self.inputs:
            raise ModelError("the model has no inputs, so there is nothing to feed")
        self.outputs = _outputs(compiled, signature)
        self.infer = _infer(compiled.create_infer_request(), len(self.inputs))
        self.clock: Callable[[], int] = time.perf_counter_ns
        self.scope = nullcontext
        self.hints = partial(hints, path, {tensor.name: len(tensor.shape) for tensor in self.inputs})
        told = {f"openvino.{key}": _plain(compiled.get_property(key)) for key in _RECORDED}
        self.facts: Callable[[], Mapping[str, Fact]] = lambda: told


def _infer(request: Any, inputs: int) -> Infer:
    """Return what calls a request; one input needs no look-up by its name."""
    run = request.infer

    def infer_one(feed: Feed) -> Sequence[Array]:
        (array,) = feed.values()
        outputs: Sequence[Array] = run(array, True).to_tuple()
        return outputs

    def infer_several(feed: Feed) -> Sequence[Array]:
        outputs: Sequence[Array] = run(feed, True).to_tuple()
        return outputs

    return infer_one if inputs == 1 else infer_several


def _signature(path: Path) -> Signature:
    """Return what the file says of names and symbols; OpenVINO keeps neither the symbols nor one name per value."""
    with suppress(ValueError, IndexError, OSError):
        return read_signature(path)
    return Signature({}, ())


def _tensor(port: Any, signature: Signature) -> Tensor:
    names, kind = port.get_names(), str(port.element_type.get_type_name())
    name = next((each for each in signature.inputs if each in names), port.any_name)
    if kind not in _DTYPES:
        raise ModelError(f"input '{name}' has the type {kind}, which cannot be fed")
    if port.partial_shape.rank.is_dynamic:
        return Tensor(name, np.dtype(_DTYPES[kind]), ("...",))
    told = signature.inputs.get(name, ())
    return Tensor(name, np.dtype(_DTYPES[kind]), tuple(_sizes(name, port.partial_shape, told)))


def _sizes(name: str, shape: Any, told: Sequence[int | str]) -> list[int | str]:
    """Return sizes, and where any is right the file's symbol or, without one, a name of our own."""
    symbols = [*told, *[""] * (len(shape) - len(told))]
    named = [symbol if isinstance(symbol, str) and symbol else f"{name}_{axis}" for axis, symbol in enumerate(symbols)]
    return [named[axis] if size.is_dynamic else int(size.get_length()) for axis, size in enumerate(shape)]


def _outputs(compiled: Any, signature: Signature) -> tuple[str, ...]:
    """Return the outputs' names, in the file's order, which OpenVINO keeps."""
    ports = compiled.outputs
    if len(signature.outputs) == len(ports):
        return signature.outputs
    return tuple(next(iter(sorted(port.get_names())), f"output_{index}") for index, port in enumerate(ports))


def _plain(value: Any) -> Fact:
    """Return a property as a fact: a number as it is, an enumeration or a type by its name."""
    if isinstance(value, int):
        return value
    return str(value.get_type_name() if hasattr(value, "get_type_name") else getattr(value, "name", value))


class OpenVinoRuntime:
    """Loads `.onnx`, int8 in QDQ form too. Options: threads, performance hint, the precision to compute in, pinning."""

    formats = ("onnx",)
    options: Mapping[str, type] = {
        "intra_op_threads": int,
        "performance_hint": str,
        "inference_precision": str,
        "cpu_pinning": bool,
    }

    def unavailable(self, target: Target) -> str | None:
        """Say what is missing: the package, the device, a known option value."""
        _library()
        if target.device != "cpu":
            return f"device '{target.device}' is not supported by this runtime (cpu)"
        for key, known in (("performance_hint", _HINTS), ("inference_precision", _PRECISIONS)):
            if target.options.get(key, known[0]) not in known:
                return f"options.{key}: '{target.options[key]}' is none of {', '.join(known)}"
        return None

    def preload(self) -> None:
        """Load the CPU plug-in and the reader of ONNX too, which OpenVINO looks for when they are needed."""
        library = _library()
        library.Core().get_versions("CPU")
        library.frontend.FrontEndManager().load_by_framework("onnx")

    def forkable(self, target: Target) -> bool:
        """Return True on the CPU: importing starts no threads, they belong to compiled models."""
        return target.device == "cpu"

    def versions(self) -> dict[str, str]:
        """Return openvino's and numpy's version."""
        return {"openvino": str(_library().get_version()), "numpy": np.__version__}

    def load(self, variant: Variant, target: Target, threads: int, seed: int, sequence: int) -> OpenVinoSession:
        """Compile the model with one stream and the target's options."""
        path, settings = local_path(variant), _settings(target, threads)
        with model_errors(f"openvino cannot load {path.name}", _cause):
            compiled = _library().Core().compile_model(str(path), "CPU", settings)
        return OpenVinoSession(compiled, path)


def _library() -> Any:
    """Import openvino without its model converter, which reports each import to its makers, in a thread of its own.

    OpenVINO goes on without the converter where that is not there.
    """
    if "openvino" not in sys.modules:
        sys.modules[_CONVERTER] = None  # type: ignore[assignment]
        try:
            importlib.import_module("openvino")
        finally:
            del sys.modules[_CONVERTER]
    return importlib.import_module("openvino")


def _settings(target: Target, threads: int) -> dict[str, Fact]:
    """Return OpenVINO's properties.

    Pinning is off: where the process is kept to one CPU, OpenVINO's own doubled the time of a request.
    """
    options, exact = target.options, _PRECISIONS[0]
    precision = str(options.get("inference_precision", exact))
    return {
        "INFERENCE_NUM_THREADS": int(options.get("intra_op_threads", threads)),
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": str(options.get("performance_hint", _HINTS[0])).upper(),
        "INFERENCE_PRECISION_HINT": precision,
        "EXECUTION_MODE_HINT": "ACCURACY" if precision == exact else "PERFORMANCE",
        "ENABLE_CPU_PINNING": bool(options.get("cpu_pinning", False)),
    }


def _cause(error: Exception) -> str:
    """Return what an error says is wrong: its summary, else its last line; those before say where it was raised."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    summary = lines[lines.index("Summary:") + 1 :] if "Summary:" in lines else []
    return "; ".join(line.removeprefix("-- ") for line in summary or lines[-1:]) or first_line(error)
