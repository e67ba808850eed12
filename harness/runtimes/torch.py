"""PyTorch modules on the CPU: exported programs and built modules, eager or compiled."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import numpy as np

from harness.runtimes.base import Array, Feed, Infer, ModelError, Tensor, local_path
from harness.runtimes.builder import build
from harness.spec.target import Target
from harness.spec.wire import Artefact

_MODES = ("eager", "compile")


class TorchSession:
    """A module called with host arrays: `torch.from_numpy` in, `.numpy()` out, both inside the sample."""

    def __init__(self, module: Callable[..., Any], inputs: tuple[Tensor, ...]) -> None:
        import torch

        self.inputs = inputs
        self.outputs: tuple[str, ...] = ()
        self.infer: Infer = _single(module, torch) if len(inputs) == 1 else _several(module, inputs, torch)
        self.clock: Callable[[], int] = time.perf_counter_ns
        self._inference_mode = torch.inference_mode

    def scope(self) -> AbstractContextManager[object]:
        """Return `torch.inference_mode()`."""
        return cast(AbstractContextManager[object], self._inference_mode())


def _single(module: Callable[..., Any], torch: Any) -> Infer:
    from_numpy = torch.from_numpy

    def infer(feed: Feed) -> Sequence[Array]:
        (array,) = feed.values()
        return host_arrays(module(from_numpy(array)))

    return infer


def _several(module: Callable[..., Any], inputs: tuple[Tensor, ...], torch: Any) -> Infer:
    from_numpy, names = torch.from_numpy, [tensor.name for tensor in inputs]

    def infer(feed: Feed) -> Sequence[Array]:
        return host_arrays(module(*[from_numpy(feed[name]) for name in names]))

    return infer


def host_arrays(result: Any) -> Sequence[Array]:
    """Return what a module gave (a tensor, several, or a dict of them) as host arrays."""
    if isinstance(result, dict):
        return [value.numpy() for value in result.values()]
    if isinstance(result, tuple | list):
        return [value.numpy() for value in result]
    return [result.numpy()]


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

    def versions(self) -> dict[str, str]:
        """Return torch's and numpy's version."""
        import torch

        return {"torch": str(torch.__version__), "numpy": np.__version__}

    def load(self, artefact: Artefact, target: Target, threads: int, seed: int, sequence: int) -> TorchSession:
        """Load the module, fix its threads, and compile it where the target says so."""
        import torch

        torch.set_num_threads(int(target.options.get("intra_op_threads", threads)))
        torch.set_num_interop_threads(int(target.options.get("inter_op_threads", 1)))
        module, inputs = load_module(artefact)
        if target.options.get("mode", "eager") == "compile":
            module = torch.compile(module)
        return TorchSession(module, inputs)


def load_module(artefact: Artefact) -> tuple[Any, tuple[Tensor, ...]]:
    """Load an artefact as an evaluating `nn.Module` with its inputs.

    Raises:
        ModelError: it cannot be loaded.
    """
    if artefact.format == "pt2":
        program = load_program(artefact)
        return program.module(), _program_inputs(program)
    if artefact.format == "checkpoint":
        module = _load_checkpoint(artefact)
    else:
        module = build(artefact)
        _load_weights(module, artefact)
    if not hasattr(module, "eval"):
        raise ModelError(f"{artefact.builder or artefact.path} gives a {type(module).__name__}, not a module")
    return module.eval(), _forward_inputs(module)


def load_program(artefact: Artefact) -> Any:
    """Load a `.pt2` exported program.

    Raises:
        ModelError: it cannot be loaded.
    """
    import torch

    path = local_path(artefact)
    try:
        return torch.export.load(path)
    except MemoryError:
        raise
    except Exception as error:
        raise ModelError(f"torch cannot load {path.name}: {error}") from error


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
    import inspect

    examples: dict[str, Array] = getattr(module, "example_inputs", {})
    if examples:
        return tuple(Tensor(n, a.dtype, ("batch", *a.shape[1:])) for n, a in examples.items())
    parameters = inspect.signature(module.forward).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind == p.POSITIONAL_OR_KEYWORD]
    if not needed:
        name = type(module).__name__
        raise ModelError(f"{name}.forward names no inputs; give the module `example_inputs` (name → array)")
    return tuple(Tensor(name, None, ("...",)) for name in needed)


def _load_weights(module: Any, artefact: Artefact) -> None:
    if artefact.weights is None:
        return
    path = Path(artefact.weights)
    try:
        module.load_state_dict(_state(path, artefact.trust_pickle))
    except MemoryError:
        raise
    except Exception as error:
        why = " ".join(str(error).split())
        raise ModelError(f"the weights in {path.name} do not fit {artefact.builder}: {why}") from error


def _state(path: Path, trust_pickle: bool) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    import torch

    return torch.load(path, map_location="cpu", weights_only=not trust_pickle)


def _load_checkpoint(artefact: Artefact) -> Any:
    import torch

    path = local_path(artefact)
    if not artefact.trust_pickle:
        raise ModelError(f"{path.name} is a pickle and is refused; write trust_pickle = true if you made it")
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        raise ModelError(f"torch cannot load {path.name}: {error}") from error
