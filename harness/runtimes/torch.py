"""PyTorch modules on the CPU: exported programs and built modules, eager or compiled."""

import importlib
import inspect
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from harness.runtimes.base import Feed, Infer, ModelError, Tensor, build, local_path, model_errors, refuse_pickle
from harness.spec.arrays import Array
from harness.spec.target import Target
from harness.spec.variant import Variant

_MODES = ("eager", "compile")
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
    if isinstance(result, dict):
        return [value.numpy() for value in result.values()]
    return [value.numpy() for value in result] if isinstance(result, tuple | list) else [result.numpy()]


class TorchRuntime:
    """Loads `.pt2` exported programs and `module:function` builders. Options: mode, threads."""

    formats = ("pt2", "torch", "checkpoint")
    options: Mapping[str, type] = {"mode": str, "intra_op_threads": int, "inter_op_threads": int}

    def unavailable(self, target: Target) -> str | None:
        """Say what is missing: the package, the device, a compiler for `mode = "compile"`."""
        import torch  # noqa: F401

        if target.device != "cpu":
            return f"device '{target.device}' is not supported by this runtime (cpu)"
        mode = target.options.get("mode", "eager")
        if mode not in _MODES:
            return f"options.mode: '{mode}' is none of {', '.join(_MODES)}"
        if mode == "compile" and not (shutil.which("g++") or shutil.which("clang++")):
            return 'mode = "compile" needs a C++ compiler (g++ or clang++) on the PATH'
        return None

    def preload(self) -> None:
        """Import what loading a program needs: more than a second of modules, which torch imports late."""
        import torch.export  # noqa: F401

        for name in _LATE:
            with suppress(ImportError):  # another version of torch has them elsewhere: loading imports them then
                importlib.import_module(name)

    def forkable(self, target: Target) -> bool:
        """Return True for eager mode on the CPU; compiling starts worker processes and threads of its own."""
        return target.device == "cpu" and target.options.get("mode", "eager") == "eager"

    def versions(self) -> dict[str, str]:
        """Return torch's and numpy's version."""
        import torch

        return {"torch": str(torch.__version__), "numpy": np.__version__}

    def load(self, variant: Variant, target: Target, threads: int, seed: int, sequence: int) -> TorchSession:
        """Load the module, fix its threads, and compile it where the target says so."""
        import torch

        torch.set_num_threads(int(target.options.get("intra_op_threads", threads)))
        torch.set_num_interop_threads(int(target.options.get("inter_op_threads", 1)))
        module, inputs = load_module(variant)
        if target.options.get("mode", "eager") == "compile":
            module = torch.compile(module)
        return TorchSession(module, inputs)


def load_module(variant: Variant) -> tuple[Any, tuple[Tensor, ...]]:
    """Load a variant as an evaluating `nn.Module` with its inputs; raises ModelError where that is not possible."""
    if variant.format == "pt2":
        program = load_program(variant)
        return program.module(), _program_inputs(program)
    module = _load_checkpoint(variant) if variant.format == "checkpoint" else _build(variant)
    if not hasattr(module, "eval"):
        raise ModelError(f"{variant.builder or variant.path} gives a {type(module).__name__}, not a module")
    return module.eval(), _forward_inputs(module)


def load_program(variant: Variant) -> Any:
    """Load a `.pt2` exported program; raises ModelError where that is not possible."""
    import torch

    path = local_path(variant)
    with model_errors(f"torch cannot load {path.name}"):
        return torch.export.load(path)


def _program_inputs(program: Any) -> tuple[Tensor, ...]:
    names = program.graph_signature.user_inputs
    nodes = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    return tuple(_tensor(name, nodes[name]) for name in names)


def _tensor(name: str, value: Any) -> Tensor:
    kind = str(getattr(value, "dtype", type(value).__name__)).removeprefix("torch.")
    if not hasattr(value, "shape") or kind == "bfloat16":
        raise ModelError(f"input '{name}' has the type {kind}, which cannot be fed")
    shape = tuple(d if isinstance(d, int) else str(d) for d in value.shape)
    return Tensor(name, np.dtype(kind), shape)


def _forward_inputs(module: Any) -> tuple[Tensor, ...]:
    """Read names off `forward`; `example_inputs` (name → array) on the module adds dtypes and shapes."""
    examples: dict[str, Array] = getattr(module, "example_inputs", {})
    if examples:
        return tuple(Tensor(n, a.dtype, ("batch", *a.shape[1:])) for n, a in examples.items())
    parameters = inspect.signature(module.forward).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind == p.POSITIONAL_OR_KEYWORD]
    if not needed:
        name = type(module).__name__
        raise ModelError(f"{name}.forward names no inputs; give the module `example_inputs` (name → array)")
    return tuple(Tensor(name, None, ("...",)) for name in needed)


def _build(variant: Variant) -> Any:
    module = build(variant)
    if variant.weights is not None:
        path = Path(variant.weights)
        what = f"the weights in {path.name} do not fit {variant.builder}"
        with model_errors(what, lambda error: " ".join(str(error).split())):
            module.load_state_dict(_state(path, variant.trust_pickle))
    return module


def _state(path: Path, trust_pickle: bool) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    import torch

    return torch.load(path, map_location="cpu", weights_only=not trust_pickle)


def _load_checkpoint(variant: Variant) -> Any:
    import torch

    path = refuse_pickle(variant)
    with model_errors(f"torch cannot load {path.name}"):
        return torch.load(path, map_location="cpu", weights_only=False)
