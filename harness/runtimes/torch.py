"""PyTorch: exported programs and built modules on the CPU, eager or compiled, or on a CUDA device (`torch_cuda`)."""

import importlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from harness.runtimes.base import Feed, Infer, Session, Tensor
from harness.runtimes.torch_load import CASTS, as_float32, cast, dtype_of, load_module, tensors_of
from harness.spec.arrays import Array
from harness.spec.outcome import Fact
from harness.spec.target import Target
from harness.spec.variant import Variant

_MODES = {"cpu": ("eager", "compile"), "cuda": ("eager", "compile", "graph")}
_INPUTS = ("copied", "resident")
_ONLY_CUDA = ("inputs", "pinned", "flush_l2")
_LATE = (
    "torch._export.serde.serialize",
    "torch.export.pt2_archive._package",
    "torch.export._unlift",
    "torch.export._trace",
    "torch._functorch.aot_autograd",
)


class TorchSession:
    """A module called with host arrays: `torch.from_numpy` in, `.numpy()` out, both inside the sample."""

    def __init__(self, module: Callable[..., Any], inputs: tuple[Tensor, ...]) -> None:
        import torch

        names, from_numpy = [tensor.name for tensor in inputs], torch.from_numpy

        def infer_one(feed: Feed) -> Sequence[Array]:  # 0.3 µs less in every sample than below
            (array,) = feed.values()
            return _host_arrays(module(from_numpy(array)))

        def infer_several(feed: Feed) -> Sequence[Array]:
            return _host_arrays(module(*[from_numpy(feed[name]) for name in names]))

        self.inputs, self.scope = inputs, torch.inference_mode
        self.infer: Infer = infer_one if len(inputs) == 1 else infer_several
        self.outputs: tuple[str, ...] = ()
        self.clock: Callable[[], int] = time.perf_counter_ns


def _host_arrays(result: Any) -> Sequence[Array]:
    """Return what a module gave (a tensor, several, or a dict of them) as host arrays."""
    return [value.numpy() for value in tensors_of(result)]


class TorchRuntime:
    """Loads `.pt2` exported programs and `module:function` builders.

    Options: mode, threads, channels_last; on a CUDA device also inputs, pinned, flush_l2 (see `torch_cuda`). Precisions
    other than fp32 are made of fp32 modules as they are loaded.
    """

    formats = ("pt2", "torch", "checkpoint")
    options: Mapping[str, type] = {
        "mode": str,
        "intra_op_threads": int,
        "inter_op_threads": int,
        "channels_last": bool,
        "inputs": str,
        "pinned": bool,
        "flush_l2": bool,
    }

    def unavailable(self, target: Target) -> str | None:
        """Say what is missing: the package, the device, the precision there, a compiler for `mode = "compile"`."""
        import torch  # noqa: F401

        kind = target.device.partition(":")[0]
        if kind not in _MODES:
            return f"device '{target.device}' is not supported by this runtime (cpu, cuda, cuda:1, …)"
        if (wrong := _wrong_option(target, kind)) is not None:
            return wrong
        if kind == "cuda":
            from harness.runtimes import torch_device

            return torch_device.unavailable(target)
        compilers = shutil.which("g++") or shutil.which("clang++")
        if target.options.get("mode") == "compile" and not compilers:
            return 'mode = "compile" needs a C++ compiler (g++ or clang++) on the PATH'
        return None

    def precisions(self, target: Target) -> tuple[str, ...]:
        """Return the precisions of modules that run in the target's: its own, and fp32, which is cast."""
        return tuple(dict.fromkeys((target.precision, "fp32")))

    def preload(self) -> None:
        """Import what loading a program needs: more than a second of modules, which torch imports late."""
        import torch.export  # noqa: F401

        for name in _LATE:
            with suppress(ImportError):  # another version of torch has them elsewhere: loading imports them then
                importlib.import_module(name)

    def forkable(self, target: Target) -> bool:
        """Return False where modules are compiled: that starts processes and threads.

        Importing torch starts no device, so that each fork of it starts its own.
        """
        return target.options.get("mode", "eager") != "compile"

    def versions(self) -> dict[str, str]:
        """Return torch's and numpy's version."""
        import torch

        return {"torch": str(torch.__version__), "numpy": np.__version__}

    def facts(self, target: Target) -> dict[str, Fact]:
        """Return the facts of the device that matter to the numbers; none of the CPU, which the launcher knows."""
        if target.device == "cpu":
            return {}
        from harness.runtimes import torch_device

        return torch_device.facts(target.device)

    def load(self, variant: Variant, target: Target, threads: int, seed: int, sequence: int) -> Session:
        """Load the module, fix its threads, and compile it where the target says so."""
        import torch

        torch.set_num_threads(int(target.options.get("intra_op_threads", threads)))
        torch.set_num_interop_threads(int(target.options.get("inter_op_threads", 1)))
        if target.device != "cpu":
            from harness.runtimes import torch_cuda

            return torch_cuda.load(variant, target)
        module, inputs = load_module(variant, dtype=dtype_of(target.precision))
        if target.options.get("channels_last", False):
            module = module.to(memory_format=torch.channels_last)
        if target.options.get("mode", "eager") == "compile":
            module = torch.compile(module)
        return TorchSession(_adapted(module, target), inputs)


def _wrong_option(target: Target, kind: str) -> str | None:
    """Say which option or precision this runtime does not have on a kind of device; None when all are right."""
    mode, inputs = target.options.get("mode", "eager"), target.options.get("inputs", "copied")
    if mode not in _MODES[kind]:
        if mode in _MODES["cuda"]:
            return f"options.mode: '{mode}' needs a CUDA device"
        return f"options.mode: '{mode}' is none of {', '.join(_MODES[kind])}"
    if inputs not in _INPUTS:
        return f"options.inputs: '{inputs}' is none of {', '.join(_INPUTS)}"
    for name in _ONLY_CUDA:
        if kind == "cpu" and name in target.options:
            return f"options.{name}: needs a CUDA device"
    known = [each for each in CASTS if kind == "cuda" or each != "tf32"]
    if target.precision not in known:
        return f"precision '{target.precision}' is not supported by this runtime ({', '.join(known)})"
    return None


def _adapted(module: Callable[..., Any], target: Target) -> Callable[..., Any]:
    """Return a CPU module that casts and lays out its inputs as the target says; the module itself for plain fp32."""
    import torch

    dtype, last = dtype_of(target.precision), bool(target.options.get("channels_last", False))
    if dtype is None and not last:
        return module

    def call(*tensors: Any) -> list[Any]:
        given = [cast(tensor, dtype) for tensor in tensors]
        if last:
            given = [t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t for t in given]
        return [as_float32(value) for value in tensors_of(module(*given))]

    return call
