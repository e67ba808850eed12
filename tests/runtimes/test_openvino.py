from __future__ import annotations

import os

import numpy as np
import pytest

from harness.runtimes import feeds
from harness.runtimes.base import ModelError, Tensor
from harness.runtimes.guess import Model, find
from harness.runtimes.onnxruntime import OnnxRuntime
from harness.runtimes.openvino import OpenVinoRuntime
from harness.spec.suite import Synthetic
from harness.spec.target import Target
from harness.spec.variant import Variant
from harness.suites import digits

pytest.importorskip("openvino")
onnx = pytest.importorskip("onnx")
DIGITS = digits.__path__[0]


def target(**options):
    return Target(name="t", description="d", runtime="openvino", options={"intra_op_threads": 1, **options})


def load(path, threads=1, **options):
    return OpenVinoRuntime().load(Variant(format="onnx", path=str(path)), target(**options), threads, 0, 0)


def guess(session, **spec):
    return find(Model(session.inputs, session.infer, session.hints), Synthetic(**spec), 0)


@pytest.mark.parametrize("kind", ["float32", "float64", "int64"])
def test_dtypes_are_the_models(models, tmp_path, kind):
    session = load(models.doubled(tmp_path / "m.onnx", kind))
    assert session.inputs == (Tensor("x", np.dtype(kind), ("batch", 3)),)
    arrays = guess(session, rows=5).arrays
    (y,) = session.infer(feeds.batch(session.inputs, arrays, 0, 4))
    assert y.dtype == np.dtype(kind)
    np.testing.assert_allclose(y, 2 * arrays["x"][:4], rtol=1e-6)


def test_bools_go_in_and_come_out(models, tmp_path):
    session = load(models.passed(tmp_path / "m.onnx", "bool", ["n", 2]))
    x = np.array([[True, False], [False, False], [True, True]])
    (y,) = session.infer({"x": x})
    assert y.dtype == np.dtype(bool)
    np.testing.assert_array_equal(y, x)


def test_several_inputs_are_fed_by_name_each_in_its_dtype(models, tmp_path):
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
def test_a_fixed_batch_is_read_off_the_model(models, tmp_path, bound):
    session = load(models.doubled(tmp_path / "m.onnx", shape=[bound, 3]))
    assert feeds.fixed_batch(session.inputs) == bound


def test_dimensions_without_a_name_get_one(models, tmp_path):
    session = load(models.doubled(tmp_path / "m.onnx", shape=["batch", "tokens", "", "?", 2]))
    assert session.inputs[0].shape == ("batch", "tokens", "x_2", "?", 2)


def test_outputs_have_the_names_of_the_file_in_its_order(models, tmp_path):
    helper, shape = models.helper, ("float32", ["batch", 3])
    nodes = [helper.make_node("Relu", ["x"], ["z"]), helper.make_node("Neg", ["z"], ["a"])]
    nodes.append(helper.make_node("Identity", ["z"], ["m"]))  # another name of the same value
    outputs = {"z": shape, "a": shape, "m": shape}
    session = load(models.onnx_model(tmp_path / "m.onnx", nodes, {"x": shape}, outputs))
    assert session.outputs == ("z", "a", "m")
    z, a, m = session.infer({"x": np.array([[-1.0, 2.0, 3.0]], np.float32)})
    assert (z.tolist(), a.tolist(), m.tolist()) == ([[0, 2, 3]], [[0, -2, -3]], [[0, 2, 3]])


def test_no_later_call_changes_an_output(models, tmp_path):
    session = load(models.doubled(tmp_path / "m.onnx"))
    outputs = [session.infer({"x": np.full((2, 3), value, np.float32)})[0] for value in (1.0, 2.0, 3.0)]
    assert [output[0, 0] for output in outputs] == [2.0, 4.0, 6.0]
    del session
    assert [output[1, 2] for output in outputs] == [2.0, 4.0, 6.0]


def test_a_read_only_feed_is_taken(models, tmp_path):
    session = load(models.doubled(tmp_path / "m.onnx"))
    x = np.ones((2, 3), np.float32)
    x.flags.writeable = False
    assert session.infer({"x": x})[0].tolist() == [[2.0] * 3] * 2


@pytest.mark.parametrize("name", ["cnn-small", "transformer-tiny"])
def test_real_models_answer_as_onnxruntime_does(tmp_path, name):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    path = tmp_path / "m.onnx"
    torch.onnx.export(torch.export.load(f"{DIGITS}/{name}.pt2"), dynamo=True, verbose=False).save(str(path))
    pixels = np.load(f"{DIGITS}/digits.npz")["pixels"][:100].astype(np.float32) / 16
    session, other = load(path), OnnxRuntime().load(Variant(format="onnx", path=str(path)), target(), 1, 0, 0)
    assert session.outputs == other.outputs
    assert [(t.name, t.dtype, t.shape[1:]) for t in session.inputs] == [("pixels", np.dtype("float32"), (64,))]
    (ours,), (theirs,) = session.infer({"pixels": pixels}), other.infer({"pixels": pixels})
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_what_openvino_has_no_operator_for_is_named():
    with pytest.raises(ModelError, match=r"openvino cannot load logistic\.onnx: .*ai\.onnx\.ml\.LinearClassifier"):
        load(f"{DIGITS}/logistic.onnx")


def test_a_quantised_model_runs_in_int8(models, tmp_path):
    quantization = pytest.importorskip("onnxruntime.quantization")
    rng = np.random.default_rng(0)
    weights = onnx.numpy_helper.from_array(rng.standard_normal((64, 32)).astype(np.float32), "w")
    node = models.helper.make_node("MatMul", ["x", "w"], ["y"])
    sides = (("x", 64), ("y", 32))
    ends = [models.helper.make_tensor_value_info(name, models.TensorProto.FLOAT, ["n", k]) for name, k in sides]
    graph = models.helper.make_graph([node], "g", ends[:1], ends[1:], [weights])
    made = models.helper.make_model(graph, opset_imports=[models.helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    x = rng.standard_normal((100, 64)).astype(np.float32)

    class Rows(quantization.CalibrationDataReader):
        rows = iter([{"x": x}])

        def get_next(self):
            return next(self.rows, None)

    quantization.quantize_static(str(tmp_path / "m.onnx"), str(tmp_path / "q.onnx"), Rows())
    (exact,), (rounded,) = (load(tmp_path / name).infer({"x": x}) for name in ("m.onnx", "q.onnx"))
    (theirs,) = (
        OnnxRuntime().load(Variant(format="onnx", path=str(tmp_path / "q.onnx")), target(), 1, 0, 0).infer({"x": x})
    )
    scale = np.abs(exact).max()
    assert 0 < np.abs(rounded - exact).max() < 0.05 * scale
    assert np.abs(rounded - theirs).max() < 0.02 * scale


def test_the_precision_is_f32_unless_the_target_says_otherwise(models, tmp_path):
    path = models.doubled(tmp_path / "m.onnx")
    told = load(path).facts()
    assert told["openvino.INFERENCE_PRECISION_HINT"] == "f32"
    assert told["openvino.DYNAMIC_QUANTIZATION_GROUP_SIZE"] == 0
    assert (told["openvino.NUM_STREAMS"], told["openvino.PERFORMANCE_HINT"]) == (1, "LATENCY")
    assert load(path, inference_precision="bf16").facts()["openvino.INFERENCE_PRECISION_HINT"] == "bf16"
    assert load(path, performance_hint="throughput").facts()["openvino.PERFORMANCE_HINT"] == "THROUGHPUT"


def test_threads_are_those_of_the_target(models, tmp_path):
    path, cpus = models.doubled(tmp_path / "m.onnx"), len(os.sched_getaffinity(0))
    assert load(path).facts()["openvino.INFERENCE_NUM_THREADS"] == 1
    granted = OpenVinoRuntime().load(
        Variant(format="onnx", path=str(path)), Target(name="t", description="d", runtime="openvino"), cpus, 0, 0
    )
    assert granted.facts()["openvino.INFERENCE_NUM_THREADS"] == cpus


def test_strings_are_refused(models, tmp_path):
    with pytest.raises(ModelError, match="input 'x' has the type string, which cannot be fed"):
        load(models.passed(tmp_path / "m.onnx", "string", ["n", 1]))


def test_a_model_without_inputs_says_so(models, tmp_path):
    helper = models.helper
    value = helper.make_tensor("v", models.TensorProto.FLOAT, [1], [1.0])
    node = helper.make_node("Constant", [], ["y"], value=value)
    with pytest.raises(ModelError, match="has no inputs"):
        load(models.onnx_model(tmp_path / "m.onnx", [node], {}, {"y": ("float32", [1])}))


def test_a_file_that_is_no_model_is_named(models, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"openvino cannot load broken\.onnx: ") as caught:
        load(tmp_path / "broken.onnx")
    assert "\n" not in str(caught.value) and "Exception from" not in str(caught.value)
    with pytest.raises(ModelError, match="model file not found"):
        load(tmp_path / "gone.onnx")


def test_an_operator_that_is_not_there_is_named(models, tmp_path):
    shape = ("float32", ["n", 3])
    helper = models.helper
    node = helper.make_node("NoSuchOperator", ["x"], ["y"], domain="elsewhere")
    infos = [helper.make_tensor_value_info(name, models.TensorProto.FLOAT, shape[1]) for name in ("x", "y")]
    graph = helper.make_graph([node], "g", infos[:1], infos[1:])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("elsewhere", 1)]
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString())
    with pytest.raises(ModelError, match=r"openvino cannot load m\.onnx: .*NoSuchOperator"):
        load(tmp_path / "m.onnx")


def test_what_is_not_there_is_said():
    runtime = OpenVinoRuntime()
    assert runtime.unavailable(target()) is None
    assert runtime.unavailable(target(inference_precision="f8")) == (
        "options.inference_precision: 'f8' is none of f32, bf16, f16"
    )
    assert runtime.unavailable(target(performance_hint="best")) == (
        "options.performance_hint: 'best' is none of latency, throughput, cumulative_throughput"
    )
    elsewhere = Target(name="t", description="d", runtime="openvino", device="cuda")
    assert runtime.unavailable(elsewhere) == "device 'cuda' is not supported by this runtime (cpu)"
    assert runtime.forkable(target()) and not runtime.forkable(elsewhere)
    assert set(runtime.versions()) == {"openvino", "numpy"}
