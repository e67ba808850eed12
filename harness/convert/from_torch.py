"""PyTorch to ONNX by torch.export: any batch size, the module's own input names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.convert.base import Order
from harness.runtimes.base import Feed, Tensor, first_line, main_output, model_errors
from harness.runtimes.torch import TorchSession
from harness.runtimes.torch_load import load_module, load_program
from harness.spec.arrays import Array
from harness.spec.variant import Variant


class TorchOriginal:
    """An exported program, or a module that is exported when it is converted."""

    def __init__(self, variant: Variant) -> None:
        self.program = load_program(variant) if variant.format == "pt2" else None
        self.module, self.inputs = load_module(variant)

    def predict(self, feed: Feed) -> Array:
        """Run the module as it is; its main output is the first of floats, as in a trial."""
        session = TorchSession(self.module, self.inputs)
        with session.scope():
            return main_output(session.infer(feed), (), None)


class TorchToOnnx:
    """Exports with a dynamic batch dimension into one file. It has no options."""

    options: Mapping[str, type] = {}

    def load(self, variant: Variant) -> TorchOriginal:
        """Load a module or an exported program."""
        return TorchOriginal(variant)

    def convert(self, original: TorchOriginal, order: Order, folder: Path) -> str:
        """Write `model.onnx`."""
        import torch

        with model_errors("torch cannot express the model in ONNX", first_line):
            program = original.program or export(
                original.module, original.inputs, order.example, torch.export.Dim("batch")
            )
            onnx_program = torch.onnx.export(program, dynamo=True, verbose=False)
            onnx_program.save(str(folder / "model.onnx"), external_data=False)
        return "model.onnx"


def export(module: Any, inputs: tuple[Tensor, ...], example: Feed, rows: Any) -> Any:
    """Export a module; `rows` is the dimension that carries rows, in front (None: as many as the example has)."""
    import torch

    arguments = tuple(torch.from_numpy(example[tensor.name]) for tensor in inputs)
    shapes = None if rows is None else ({0: rows},) * len(inputs)
    return torch.export.export(module, arguments, dynamic_shapes=shapes, strict=False)
