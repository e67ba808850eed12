"""PyTorch → ONNX by torch.export: any batch size, the module's own input names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.runtimes.base import Array, Feed, ModelError, Tensor
from harness.runtimes.torch import host_arrays, load_module, load_program
from harness.spec.wire import Artefact


class TorchOriginal:
    """An exported program, or a module that is exported when it is converted."""

    def __init__(self, artefact: Artefact) -> None:
        self._program = load_program(artefact) if artefact.format == "pt2" else None
        self._module, self.inputs = load_module(artefact)

    def predict(self, feed: Feed) -> Array:
        """Run the module as it is; its main output is the first of floats, as in a trial."""
        import torch

        from harness.worker.trial import main_output

        with torch.inference_mode():
            result = self._module(*[torch.from_numpy(feed[tensor.name]) for tensor in self.inputs])
        return main_output(host_arrays(result), (), None)

    def to_onnx(self, example: Feed, path: Path) -> None:
        """Export with a dynamic batch dimension and write one file."""
        import torch

        try:
            program = self._program or _export(self._module, self.inputs, example)
            onnx_program = torch.onnx.export(program, dynamo=True, verbose=False)
            onnx_program.save(str(path), external_data=False)
        except Exception as error:  # the exporter raises many unrelated types
            text = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(f"torch cannot express the model in ONNX: {text[0]}") from error


def _export(module: Any, inputs: tuple[Tensor, ...], example: Feed) -> Any:
    import torch

    batch = torch.export.Dim("batch")
    arguments = tuple(torch.from_numpy(example[tensor.name]) for tensor in inputs)
    shapes = tuple({0: batch} for _ in inputs)
    return torch.export.export(module, arguments, dynamic_shapes=shapes, strict=False)


def load(artefact: Artefact) -> TorchOriginal:
    """Load a torch artefact for conversion."""
    return TorchOriginal(artefact)
