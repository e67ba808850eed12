"""int8 weights in ONNX models without calibration: dynamic ranges of activations, or fp32 activations."""

from pathlib import Path
from typing import Any

import numpy as np

from harness.convert.onnx_model import channel_axis, weights
from harness.spec.arrays import Array

_LEAST = 256
"""Weights of fewer numbers stay as they are: what dequantises them would take as many bytes as they give."""
_MOST = 127


def dynamic(path: Path, per_channel: bool, reduce_range: bool, scratch: Path, external: bool) -> Any:
    """Return the prepared model with int8 weights; the range of activations is taken anew at each inference.

    Weights are unsigned: ONNX Runtime's integer convolution is three times as slow with signed ones.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    result = scratch / "dynamic.onnx"
    quantize_dynamic(
        str(path),
        str(result),
        per_channel=per_channel,
        reduce_range=reduce_range,
        weight_type=QuantType.QUInt8,
        use_external_data_format=external,
    )
    return onnx.load(str(result))


def weights_only(path: Path, per_channel: bool) -> Any:
    """Return the prepared model with symmetric int8 weights, which are dequantised before they are used.

    Scales are per output channel with `per_channel`, those of tables per table. Standard operators only; ONNX Runtime
    dequantises at each inference, or makes its own MatMulNBits of a product.
    """
    import onnx

    model = onnx.load(str(path))
    by_weight: dict[str, list[Any]] = {}
    for node, name in weights(model.graph):
        by_weight.setdefault(name, []).append(node)
    constants = {each.name: each for each in model.graph.initializer}
    for name, nodes in by_weight.items():
        users = [node for node in model.graph.node if name in node.input]
        if int(np.prod(constants[name].dims)) >= _LEAST and len(users) == len(nodes):
            _replace(model.graph, constants[name], nodes, per_channel)
    return model


def _replace(graph: Any, weight: Any, nodes: list[Any], per_channel: bool) -> None:
    """Put an int8 weight and its scale in the place of one in fp32."""
    from onnx import helper, numpy_helper

    array = numpy_helper.to_array(weight)
    axes = {channel_axis(node, array.ndim) if per_channel else None for node in nodes}
    axis = axes.pop() if len(axes) == 1 else None
    whole, scale = as_int8(array, axis)
    names = [f"{weight.name}_int8", f"{weight.name}_scale"]
    attribute = {} if axis is None else {"axis": axis}
    graph.initializer.remove(weight)
    graph.initializer.extend(map(numpy_helper.from_array, (whole, scale), names))
    if all(node.op_type == "Gather" for node in nodes):
        for node in nodes:
            _after(graph, node, names)
    else:
        graph.node.insert(0, helper.make_node("DequantizeLinear", names, [weight.name], **attribute))


def _after(graph: Any, gather: Any, names: list[str]) -> None:
    """Look rows up in the int8 table, and dequantise them only."""
    from onnx import helper

    rows = f"{gather.output[0]}_int8"
    made = helper.make_node("DequantizeLinear", [rows, names[1]], [gather.output[0]])
    gather.input[0], gather.output[0] = names[0], rows
    graph.node.insert([*graph.node].index(gather) + 1, made)


def as_int8(array: Array, axis: int | None) -> tuple[Array, Array]:
    """Return a weight in -127..127 and its scale: one per place on `axis`, or (None) one for all, without axes."""
    others = None if axis is None else tuple(each for each in range(array.ndim) if each != axis)
    step = np.asarray(np.abs(array).max(axis=others) / _MOST, dtype=np.float32)
    scale = np.where(step > 0, step, np.float32(1))
    shape = [1 if each != axis else -1 for each in range(array.ndim)]
    whole = np.rint(array / (scale if axis is None else scale.reshape(shape)))
    return np.clip(whole, -_MOST, _MOST).astype(np.int8), scale
