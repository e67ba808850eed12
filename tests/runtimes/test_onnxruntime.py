from __future__ import annotations

import msgspec
import numpy as np
import pytest

from harness.runtimes import feeds
from harness.runtimes.base import ModelError, Tensor
from harness.runtimes.guess import Model, find
from harness.runtimes.onnxruntime import OnnxRuntime
from harness.spec.suite import Synthetic
from harness.spec.target import Target
from harness.spec.variant import Variant

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


def guess(session, **spec):
    return find(Model(session.inputs, session.infer, session.hints), Synthetic(**spec), 0)


@pytest.fixture
def load(onnx_target):
    def call(path, target=onnx_target):
        return OnnxRuntime().load(Variant(format="onnx", path=str(path)), target, 1, 0, 0)

    return call


@pytest.mark.parametrize("kind", ["float32", "float64", "int64"])
def test_dtypes_are_the_models(load, models, tmp_path, kind):
    session = load(models.doubled(tmp_path / "m.onnx", kind))
    assert session.inputs == (Tensor("x", np.dtype(kind), ("batch", 3)),)
    arrays = guess(session, rows=5).arrays
    feed = feeds.batch(session.inputs, arrays, 0, 4)
    (y,) = session.infer(feed)
    assert y.dtype == np.dtype(kind)
    np.testing.assert_array_equal(y, 2 * arrays["x"][:4])


def test_bools_go_in_and_come_out(load, models, tmp_path):
    session = load(models.passed(tmp_path / "m.onnx", "bool", ["n", 2]))
    feed = feeds.batch(session.inputs, guess(session, rows=3).arrays, 0, 3)
    (y,) = session.infer(feed)
    assert (y.dtype, y.shape) == (np.dtype(bool), (3, 2))


def test_several_inputs_are_fed_by_name_each_in_its_dtype(load, models, tmp_path):
    session = load(models.picked(tmp_path / "m.onnx"))
    assert [(t.name, str(t.dtype), t.shape) for t in session.inputs] == [
        ("scores", "float32", ("batch", "classes")),
        ("row", "int64", ("batch", 1)),
    ]
    given = {"row": np.array([[2], [0]], np.int32), "scores": np.array([[1, 2, 3], [4, 5, 6]], np.float64)}
    arrays = feeds.match(session.inputs, given)
    (picked,) = session.infer(feeds.batch(session.inputs, arrays, 0, 2))
    np.testing.assert_array_equal(picked, [[3], [4]])


@pytest.mark.parametrize("bound", [1, 4])
def test_a_fixed_batch_is_read_off_the_model(load, models, tmp_path, bound):
    session = load(models.doubled(tmp_path / "m.onnx", shape=[bound, 3]))
    assert feeds.fixed_batch(session.inputs) == bound
    arrays = guess(session, rows=6).arrays
    (y,) = session.infer(feeds.batch(session.inputs, arrays, 4, bound))
    np.testing.assert_array_equal(y[-1], 2 * arrays["x"][(4 + bound - 1) % 6])


def test_dimensions_without_a_name_get_one(load, models, tmp_path):
    session = load(models.doubled(tmp_path / "m.onnx", shape=["batch", "tokens", "", "?", 2]))
    assert session.inputs[0].shape == ("batch", "tokens", "x_2", "x_3", 2)
    found = guess(session, rows=3, dims={"tokens": 7, "x_2": 5, "x_3": 4})
    assert found.arrays["x"].shape == (3, 7, 5, 4, 2)


def test_a_model_of_strings_gets_words(load, models, tmp_path):
    session = load(models.passed(tmp_path / "m.onnx", "string", ["n", 1]))
    found = guess(session, rows=4)
    assert found.lines == {"x": "Nx1:object:text"}
    (y,) = session.infer(feeds.batch(found.tensors, found.arrays, 0, 4))
    assert y.shape == (4, 1) and all(isinstance(text, str) for text in y[:, 0])


def test_a_model_without_inputs_says_so(load, models, tmp_path):
    helper = models.helper
    value = helper.make_tensor("v", models.TensorProto.FLOAT, [1], [1.0])
    node = helper.make_node("Constant", [], ["y"], value=value)
    path = models.onnx_model(tmp_path / "m.onnx", [node], {}, {"y": ("float32", [1])})
    with pytest.raises(ModelError, match="has no inputs"):
        load(path)


def test_an_input_that_is_no_tensor_is_named(load, models, tmp_path):
    helper = models.helper
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(models.TensorProto.FLOAT, [2]))
    inputs = [helper.make_value_info("many", kind)]
    outputs = [helper.make_tensor_value_info("n", models.TensorProto.INT64, [])]
    graph = helper.make_graph([helper.make_node("SequenceLength", ["many"], ["n"])], "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"input 'many' has the type seq\(tensor\(float\)\), which cannot be fed"):
        load(tmp_path / "m.onnx")


def test_a_file_that_is_no_model_is_named(load, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"onnxruntime cannot load broken\.onnx: ") as caught:
        load(tmp_path / "broken.onnx")
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="model file not found"):
        load(tmp_path / "gone.onnx")


def target(**options):
    return Target(name="t", description="d", runtime="onnxruntime", options=options)


def test_options_reach_the_session(load, models, tmp_path):
    path = models.doubled(tmp_path / "m.onnx")
    for level in ("disable", "basic", "extended", "all"):
        load(path, target(intra_op_threads=1, optimisation=level, spinning=False, inter_op_threads=1))
    settings = OnnxRuntime()._settings(target(intra_op_threads=3, optimisation="basic", spinning=False), 1)
    assert settings.intra_op_num_threads == 3
    assert settings.graph_optimization_level.name == "ORT_ENABLE_BASIC"
    assert settings.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert OnnxRuntime()._settings(target(), 5).intra_op_num_threads == 5


def test_what_is_not_there_is_said(onnx_target):
    runtime = OnnxRuntime()
    assert runtime.unavailable(onnx_target) is None
    assert runtime.unavailable(target(optimisation="most")) == (
        "options.optimisation: 'most' is none of disable, basic, extended, all"
    )
    elsewhere = Target(name="t", description="d", runtime="onnxruntime", device="cuda")
    assert runtime.unavailable(msgspec.structs.replace(elsewhere, device="npu")).startswith("device 'npu' is not")
    assert runtime.unavailable(target(inputs="resident")) == "options.inputs: needs a CUDA device"
    assert runtime.forkable(onnx_target) and not runtime.forkable(elsewhere)
    assert set(runtime.versions()) == {"onnxruntime", "numpy"}
