"""What an ONNX file says of inputs and outputs, as its makers wrote it."""

from __future__ import annotations

import numpy as np
import pytest

from harness.runtimes.onnx_graph import read_signature

onnx = pytest.importorskip("onnx")
helper = onnx.helper


def test_names_sizes_and_symbols_in_order_without_what_has_a_value(tmp_path):
    kind = onnx.TensorProto.FLOAT
    infos = [
        helper.make_tensor_value_info("tokens", onnx.TensorProto.INT64, ["batch", None, 300]),
        helper.make_tensor_value_info("w", kind, [3]),
        helper.make_tensor_value_info("rate", kind, []),
        helper.make_tensor_value_info("any", kind, None),
    ]
    many = helper.make_sequence_type_proto(helper.make_tensor_type_proto(kind, [2]))
    infos.append(helper.make_value_info("many", many))
    outputs = [helper.make_tensor_value_info(name, kind, [3]) for name in ("z", "a")]
    weight = onnx.numpy_helper.from_array(np.zeros(3, np.float32), "w")
    nodes = [helper.make_node("Relu", ["w"], ["z"]), helper.make_node("Neg", ["z"], ["a"])]
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(helper.make_graph(nodes, "g", infos, outputs, [weight])).SerializeToString())
    found = read_signature(path)
    assert found.inputs == {"tokens": ("batch", "", 300), "rate": (), "any": (), "many": ()}
    assert list(found.inputs) == ["tokens", "rate", "any", "many"]
    assert found.outputs == ("z", "a")


def test_a_file_that_is_none_raises(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\x07 is no field of a message")
    with pytest.raises((ValueError, IndexError)):
        read_signature(tmp_path / "m.onnx")
    with pytest.raises(OSError):
        read_signature(tmp_path / "gone.onnx")
