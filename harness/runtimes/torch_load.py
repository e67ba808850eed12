"""Loading PyTorch modules: exported programs, built modules, checkpoints; where they run and in which precision."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np

from harness.runtimes.base import ModelError, Tensor, build, local_path, model_errors, refuse_pickle
from harness.spec.arrays import Array
from harness.spec.variant import Variant

CASTS = {"fp32": None, "tf32": None, "fp16": "float16", "bf16": "bfloat16"}
"""Precisions that a module can run in → the dtype that its weights and inputs are cast to; None: as they are."""


def dtype_of(precision: str) -> Any:
    """Return the torch dtype that a precision casts to; None where nothing is cast."""
    import torch

    name = CASTS[precision]
    return None if name is None else getattr(torch, name)


def tensors_of(result: Any) -> list[Any]:
    """Return what a module gave (a tensor, several, or a dict of them) as a list of tensors."""
    if isinstance(result, dict):
        return list(result.values())
    return list(result) if isinstance(result, tuple | list) else [result]


def cast(tensor: Any, dtype: Any) -> Any:
    """Return a tensor in another floating-point dtype; whole numbers and truth values stay as they are."""
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


def as_float32(tensor: Any) -> Any:
    """Return a tensor as float32 where it is of a floating-point dtype with fewer bits."""
    return tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor


def load_module(variant: Variant, device: str = "cpu", dtype: Any = None) -> tuple[Any, tuple[Tensor, ...]]:
    """Load a variant as an evaluating `nn.Module` on a device, with its inputs; `dtype`: cast its weights to it.

    Raises ModelError where that is not possible.
    """
    if variant.format == "pt2":
        program = load_program(variant)
        inputs = _program_inputs(program)
        module = _on_device(program, device).module()
        return (module, inputs) if dtype is None else (_unchecked(module).to(dtype), inputs)
    module = _load_checkpoint(variant) if variant.format == "checkpoint" else _build(variant)
    if not hasattr(module, "eval"):
        what = f"{variant.builder or variant.path} gives a value of type {type(module).__name__}"
        raise ModelError(f"{what}, not a module with weights and a `forward`")
    return module.eval().to(device=device, dtype=dtype), _forward_inputs(module)


def _on_device(program: Any, device: str) -> Any:
    """Move an exported program, with what its graph makes itself, to a device."""
    if device == "cpu":
        return program
    from torch.export.passes import move_to_device_pass

    return move_to_device_pass(program, device)


def _unchecked(module: Any) -> Any:
    """Remove an exported graph's checks of dtypes, which are those that it was exported with."""
    import torch

    for node in list(module.graph.nodes):
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            module.graph.erase_node(node)
    module.recompile()
    return module


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
