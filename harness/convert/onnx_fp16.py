"""ONNX from fp32 to fp16: weights and operators in half precision, inputs and outputs as before."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness.convert.base import Made, Order
from harness.convert.onnx_model import OnnxOriginal, is_external, prepared, refuse_without_weights, save
from harness.runtimes.base import first_line, model_errors
from harness.spec.diagnostics import diagnostic
from harness.spec.variant import Variant

_CASTS = "fp16 where ONNX Runtime's CPU provider has a kernel for it; the rest, with its weights, is fp32 once loaded"


class OnnxToFp16:
    """Converts by ONNX Runtime's own tool; what must stay in fp32 (trees, TopK, …) does. It has no options.

    There is no such conversion to bf16: ONNX Runtime's CPU provider (1.32) has no bf16 kernel of Conv, Gemm or MatMul.
    """

    options: Mapping[str, type] = {}

    def load(self, variant: Variant) -> OnnxOriginal:
        """Load an ONNX model."""
        return OnnxOriginal(variant)

    def convert(self, original: OnnxOriginal, order: Order, folder: Path) -> Made:
        """Write `model.onnx`."""
        import onnx

        with tempfile.TemporaryDirectory(dir=folder) as scratch, model_errors("fp16 is not possible", first_line):
            from onnxruntime.quantization.onnx_model import ONNXModel
            from onnxruntime.transformers.float16 import convert_float_to_float16

            model = onnx.load(str(prepared(original.path, Path(scratch))))
            refuse_without_weights(model, "fp16")
            made = ONNXModel(convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True))
            made.topological_sort()
            name = save(made.model, folder, is_external(original.path))
        return Made(name, notes=(diagnostic("fp16_casts", _CASTS),))
