"""What ONNX graphs tell of their inputs, and that a file which cannot be read tells nothing."""

from __future__ import annotations

import numpy as np
import pytest

from harness.runtimes.base import Hint
from harness.runtimes.onnx_graph import read_graph
from harness.runtimes.onnx_hints import hints

onnx = pytest.importorskip("onnx")
node = onnx.helper.make_node


@pytest.fixture
def hint(tmp_path):
    """The hint of input `x` of a graph of these nodes; constants are name → shape, or an array."""

    def read(nodes, rank=2, **constants):
        arrays = {k: v if isinstance(v, np.ndarray) else np.zeros(v, np.float32) for k, v in constants.items()}
        graph = onnx.helper.make_graph(
            nodes, "g", [], [], [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
        )
        path = tmp_path / "m.onnx"
        path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
        return hints(path, {"x": rank})["x"]

    return read


def test_a_table_bounds_ids_through_casts_and_packed_weights(hint):
    cast = node("Cast", ["x"], ["i"], to=7)
    assert hint([cast, node("Gather", ["table", "i"], ["y"])], table=(50, 8)) == Hint(ids_below=50, kind="ids")
    packed = [node("Cast", ["q"], ["f"], to=1), node("Mul", ["f", "scale"], ["table"])]
    assert hint([*packed, node("Gather", ["table", "x"], ["y"])], q=(40, 8), scale=(40, 1)).ids_below == 40
    two = [node("Gather", ["a", "x"], ["y"]), node("Gather", ["b", "x"], ["z"])]
    assert hint(two, a=(9, 2), b=(7, 2)).ids_below == 7
    assert hint(two, a=(7, 2), b=(9, 2)).ids_below == 7


def test_a_one_hot_code_bounds_ids(hint):
    shape = np.array([-1, 4, 1], np.int64)
    coded = [node("Reshape", ["x", "shape"], ["r"]), node("Equal", ["r", "all"], ["y"])]
    assert hint(coded, shape=shape, all=np.zeros((1, 1, 12), np.int32)).ids_below == 12
    assert hint([node("OneHot", ["x", "depth", "v"], ["y"])], depth=np.array([6], np.int64), v=(2,)).ids_below == 6


def test_a_convolution_tells_channels_wherever_they_are(hint):
    assert hint([node("Conv", ["x", "w"], ["y"])], 4, w=(8, 3, 5, 5)) == Hint(sizes={1: 3}, kind="image")
    last = [node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]), node("Conv", ["t", "w"], ["y"])]
    assert hint(last, 4, w=(8, 3, 5, 5)).sizes == {3: 3}
    assert hint([node("Conv", ["x", "w"], ["y"], group=4)], 4, w=(8, 2, 3, 3)).sizes == {1: 8}
    assert hint([node("Conv", ["x", "w"], ["y"])], 3, w=(8, 80, 3)) == Hint(sizes={1: 80}, kind="signal")


def test_matrices_tell_the_last_axis(hint):
    assert hint([node("Gemm", ["x", "w"], ["y"], transB=1)], w=(4, 17)).sizes == {1: 17}
    assert hint([node("Relu", ["x"], ["r"]), node("MatMul", ["r", "w"], ["y"])], 3, w=(17, 4)).sizes == {2: 17}
    assert hint([node("Sub", ["x", "mean"], ["y"])], mean=(1, 9)).sizes == {1: 9}
    squeezed = [node("Unsqueeze", ["x", "at"], ["u"]), node("BatchNormalization", ["u", "s", "s", "s", "s"], ["y"])]
    assert hint(squeezed, at=np.array([1], np.int64), s=(5,)).sizes == {}
    assert hint(squeezed, at=np.array([2], np.int64), s=(5,)).sizes == {1: 5}


def test_a_recurrent_operator_tells_its_batch(hint):
    lstm = [node("LSTM", ["x", "w", "r"], ["y"], hidden_size=4)]
    assert hint(lstm, 3, w=(1, 16, 9), r=(1, 16, 4)) == Hint(sizes={2: 9}, batch=1)
    state = [node("LSTM", ["in", "w", "r", "", "", "x"], ["y"], hidden_size=4)]
    assert hint(state, 3, w=(2, 16, 9), r=(2, 16, 4)) == Hint(sizes={0: 2, 2: 4}, batch=1)


def test_subgraphs_are_read(hint):
    inner = onnx.helper.make_graph([node("Gather", ["table", "x"], ["z"])], "inner", [], [])
    branch = node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    assert hint([branch], table=(33, 2)).ids_below == 33


def test_constants_of_nodes_and_their_numbers(tmp_path):
    value = onnx.numpy_helper.from_array(np.array([-1, 2**40], np.int64))
    typed = onnx.helper.make_tensor("t", onnx.TensorProto.INT64, [3], [5, -6, 7])
    graph = onnx.helper.make_graph([node("Constant", [], ["c"], value=value)], "g", [], [], [typed])
    (tmp_path / "m.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    found = read_graph(tmp_path / "m.onnx").constants
    assert (found["c"].dims, found["c"].numbers) == ((2,), (-1, 2**40))
    assert (found["t"].dims, found["t"].numbers) == ((3,), (5, -6, 7))


@pytest.mark.parametrize("damage", [b"", b"\x07", b"\xff" * 40, b"\x3a\x7f\x0a", b"\x3a\x02\x0a\x7f"])
def test_a_file_that_is_no_model_tells_nothing(tmp_path, damage):
    (tmp_path / "m.onnx").write_bytes(damage)
    assert hints(tmp_path / "m.onnx", {"x": 2}).get("x", Hint()) == Hint()


def test_a_gap_in_the_graph_tells_nothing(hint):
    assert hint([node("Gather", ["unknown", "x"], ["y"]), node("Conv", ["x", "unknown"], ["z"])]).sizes == {}
