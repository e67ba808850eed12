"""Static quantisation of ONNX models: ranges of activations from calibration rows, then QDQ by ONNX Runtime."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.convert.calibration import Feeds
from harness.convert.onnx_model import channel_axis
from harness.runtimes.base import Feed

_BINS = {"entropy": 1024, "percentile": 8192}
"""Bins of a histogram over both signs. The library's search by entropy takes 0.2 s a tensor with 1,024, four times as
long with twice as many; it can leave out seven eighths of a range."""
_LEVELS = 128
_OPERATORS = (
    *("Conv", "ConvTranspose", "Gemm", "MatMul", "Gather", "Relu", "Clip", "MaxPool", "AveragePool", "Resize"),
    *("Slice", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"),
)
"""What computes with weights, and what passes int8 on where it comes in.

The rest (LayerNormalization, Softmax, GELU, sums with constants) stays in fp32: ONNX Runtime's CPU provider would
dequantise before it and quantise behind it. Sums and concatenations between int8 tensors it does in int8 by itself.
"""
_FLOAT_OUT = ("MatMul", "Gemm")
"""Products whose results stay in fp32, as their kernels can give them: logits, and what is added to in fp32."""


class Static(NamedTuple):
    """How to quantise: `calibration` is minmax, entropy or percentile (of that many per cent of the values)."""

    calibration: str
    percentile: float
    per_channel: bool
    activations: str
    reduce_range: bool


class _One:
    """A reader of one batch, as the library asks for it."""

    def __init__(self, feed: Feed) -> None:
        self._feed: Feed | None = feed

    def get_next(self) -> Feed | None:
        """Return the batch, then None."""
        feed, self._feed = self._feed, None
        return feed


def quantised(path: Path, feeds: Feeds, how: Static, scratch: Path, external: bool) -> Any:
    """Return the prepared model at `path` with int8 weights and activations, their ranges learnt from `feeds`.

    Weights are symmetric; their scales are per output channel with `per_channel`.
    """
    import onnx
    from onnxruntime.quantization import QDQQuantizer, QuantType

    model = onnx.load(str(path))
    _named(model.graph)
    ranges = _ranges(path, feeds, how, scratch, external)
    quantizer = QDQQuantizer(
        model,
        per_channel=how.per_channel,
        reduce_range=how.reduce_range,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8 if how.activations == "uint8" else QuantType.QInt8,
        tensors_range=ranges,
        nodes_to_quantize=[],
        nodes_to_exclude=_excluded(model.graph),
        op_types_to_quantize=[*_OPERATORS],
        extra_options={"OpTypesToExcludeOutputQuantization": [*_FLOAT_OUT]},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    return quantizer.model.model


def _named(graph: Any) -> None:
    """Give nodes the names by which the library is told to leave them, and biases of [1, n] the one axis it expects."""
    constants = {each.name: each for each in graph.initializer}
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"
        bias = constants.get(node.input[2]) if node.op_type == "Gemm" and len(node.input) > 2 else None
        if bias is not None and len(bias.dims) == 2 and bias.dims[0] == 1:
            del bias.dims[0]


def _excluded(graph: Any) -> list[str]:
    """Name the nodes that stay in fp32.

    Products of two activations, as in attention, become slower in int8; of a Gemm, the library takes a bias with one
    number per channel only.
    """
    constants = {each.name: each for each in graph.initializer}
    products = [node.name for node in graph.node if node.op_type == "MatMul" and not constants.keys() & {*node.input}]
    return products + [node.name for node in graph.node if node.op_type == "Gemm" and not _biased(node, constants)]


def _biased(node: Any, constants: Mapping[str, Any]) -> bool:
    """Whether the bias of a Gemm is a constant with one number per channel, or there is none."""
    if len(node.input) < 3:
        return True
    weight, bias = (constants.get(name) for name in node.input[1:3])
    return weight is not None and bias is not None and [*bias.dims] == [weight.dims[channel_axis(node, 2)]]


def _ranges(path: Path, feeds: Feeds, how: Static, scratch: Path, external: bool) -> Any:
    """Return the range of each tensor; histograms begin with the whole range, so that they do not grow."""
    from onnxruntime.quantization.calibrate import HistogramCollector

    whole = _collected(_calibrator("MinMax", path, scratch, external), feeds)
    if how.calibration == "minmax":
        return whole
    calibrator = _calibrator(how.calibration.capitalize(), path, scratch, external)
    calibrator.collector = HistogramCollector(
        how.calibration, False, _BINS[how.calibration], _LEVELS, how.percentile, "same"
    )
    ends = {name: np.concatenate([np.ravel(end) for end in each.range_value]) for name, each in whole.items()}
    calibrator.collector.collect(ends)
    return _collected(calibrator, feeds)


def _calibrator(method: str, path: Path, scratch: Path, external: bool) -> Any:
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    augmented = str(scratch / f"{method}.onnx")
    method_of = getattr(CalibrationMethod, method)
    return create_calibrator(path, [*_OPERATORS], augmented, method_of, use_external_data_format=external)


def _collected(calibrator: Any, feeds: Feeds) -> Any:
    """Show a calibrator the batches one by one: it keeps what all of one call give."""
    for feed in feeds():
        calibrator.collect_data(_One(feed))
    return calibrator.compute_data()
