"""ExecuTorch programs (`.pte`) on the CPU: what was lowered to XNNPACK runs there, the rest on portable kernels.

The Python bindings are linked to torch, which is part of this runtime's memory here and would not be on a device.

A program has neither names for its inputs nor a mark where a size is only a bound. Conversions of ours write both into
a constant method (`Signature`); of another's program the sizes are taken as they are, and inputs are numbered.
"""

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np

from harness.runtimes.base import Feed, Infer, ModelError, Tensor, local_path, model_errors
from harness.spec.arrays import Array
from harness.spec.outcome import Fact
from harness.spec.target import Target
from harness.spec.variant import Variant

_METHOD = "forward"
_DTYPES = {
    0: "uint8",
    1: "int8",
    2: "int16",
    3: "int32",
    4: "int64",
    5: "float16",
    6: "float32",
    7: "float64",
    11: "bool",
}
"""By the numbers of ExecuTorch's ScalarType (runtime/core/portable_type/scalar_type.h)."""


class Signature(msgspec.Struct, frozen=True):
    """The inputs' names, and whether the first axis of each carries 1 … its size rows. `METHOD` holds it, as JSON."""

    METHOD: ClassVar[str] = "harness_signature"
    inputs: tuple[str, ...]
    open_batch: bool

    def text(self) -> str:
        """Write it as a constant method holds it."""
        return msgspec.json.encode(self).decode()


class ExecuTorchSession:
    """One method of a program: `torch.from_numpy` in, `.numpy()` out, both inside the sample. Outputs are copies."""

    def __init__(self, program: Any, method: Any, settings: Mapping[str, Fact]) -> None:
        self.inputs = _inputs(program, method.method_meta())
        self.infer = _infer(method, [tensor.name for tensor in self.inputs])
        self.outputs: tuple[str, ...] = ()
        self.clock: Callable[[], int] = time.perf_counter_ns
        self.scope = nullcontext
        self.facts: Callable[[], Mapping[str, Fact]] = lambda: settings


def _infer(method: Any, names: Sequence[str]) -> Infer:
    """Return what calls a method."""
    import torch

    from_numpy = torch.from_numpy

    def infer_one(feed: Feed) -> Sequence[Array]:  # 0.2 µs less in every sample than below
        (array,) = feed.values()
        return (method((from_numpy(array),))[0].numpy(),)

    def infer_several(feed: Feed) -> Sequence[Array]:
        return [output.numpy() for output in method([from_numpy(feed[name]) for name in names])]

    return infer_one if (len(names), method.method_meta().num_outputs()) == (1, 1) else infer_several


def _inputs(program: Any, metadata: Any) -> tuple[Tensor, ...]:
    """Return a method's inputs; raises ModelError where one cannot be fed, or an output is no tensor."""
    count = metadata.num_inputs()
    if not count:
        raise ModelError("the model has no inputs, so there is nothing to feed")
    for index in range(metadata.num_outputs()):
        with model_errors(f"output {index} is no tensor"):
            metadata.output_tensor_meta(index)
    told = _told(program) or Signature(tuple(f"input_{index}" for index in range(count)), False)
    if len(told.inputs) != count:
        raise ModelError(f"the program names {len(told.inputs)} inputs and takes {count}")
    return tuple(_tensor(name, index, metadata, told.open_batch) for index, name in enumerate(told.inputs))


def _told(program: Any) -> Signature | None:
    if Signature.METHOD not in _methods(program):
        return None
    with model_errors(f"the program's {Signature.METHOD} cannot be read"):
        (text,) = program.load_method(Signature.METHOD)([])
        return msgspec.json.decode(text, type=Signature)


def _methods(program: Any) -> list[str]:
    return sorted(program.get_method_name(index) for index in range(program.num_methods()))


def _tensor(name: str, index: int, metadata: Any, open_batch: bool) -> Tensor:
    with model_errors(f"input '{name}' is no tensor, which cannot be fed"):
        info = metadata.input_tensor_meta(index)
    kind, sizes = info.dtype(), tuple(int(size) for size in info.sizes())
    if kind not in _DTYPES:
        raise ModelError(f"input '{name}' has the scalar type {kind}, which cannot be fed")
    if not open_batch:
        return Tensor(name, np.dtype(_DTYPES[kind]), sizes)
    return Tensor(name, np.dtype(_DTYPES[kind]), ("batch", *sizes[1:]), most=sizes[0])


class ExecuTorchRuntime:
    """Loads `.pte`. Option: threads, those of the pool that XNNPACK and the optimised kernels share."""

    formats = ("executorch",)
    options: Mapping[str, type] = {"intra_op_threads": int}

    def unavailable(self, target: Target) -> str | None:
        """Say what is missing: the package, the device, XNNPACK in this build."""
        bindings = _bindings()
        if target.device != "cpu":
            return f"device '{target.device}' is not supported by this runtime (cpu)"
        if "XnnpackBackend" not in bindings._get_registered_backend_names():
            return "this executorch was built without XNNPACK"
        return None

    def forkable(self, target: Target) -> bool:
        """Return True on the CPU: importing starts no threads, the pool is made when a program is loaded."""
        return target.device == "cpu"

    def versions(self) -> dict[str, str]:
        """Return executorch's, torch's and numpy's version."""
        _bindings()
        return {"executorch": version("executorch"), "torch": version("torch"), "numpy": np.__version__}

    def load(self, variant: Variant, target: Target, threads: int, seed: int, sequence: int) -> ExecuTorchSession:
        """Load the method `forward`, and give the pool its threads."""
        return load_program(local_path(variant), int(target.options.get("intra_op_threads", threads)))


def load_program(path: Path, threads: int) -> ExecuTorchSession:
    """Load a program's method `forward` with a pool of `threads`; raises ModelError where that is not possible."""
    bindings = _bindings()
    bindings._unsafe_reset_threadpool(threads)
    with model_errors(f"executorch cannot load {path.name}"):
        whole = bindings.Verification.InternalConsistency
        program = bindings._load_program(str(path), program_verification=whole)
        if _METHOD not in (names := _methods(program)):
            raise ModelError(f"{path.name} has no method '{_METHOD}'; it has {', '.join(names)}")
        method = program.load_method(_METHOD)
    return ExecuTorchSession(program, method, {"executorch.threads": bindings._threadpool_get_thread_count()})


def _bindings() -> Any:
    """Import the runtime's extension module, which `executorch.runtime` wraps.

    That package would import the exporter too, for a class of warnings: 130 MiB more, and seconds.
    """
    import torch  # noqa: F401 - the extension is linked to its libraries

    try:
        return importlib.import_module("executorch.extension.pybindings._C")  # from 1.5 on
    except ModuleNotFoundError:
        return importlib.import_module("executorch.extension.pybindings._portable_lib")
