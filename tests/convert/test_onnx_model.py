"""ONNX models of all kinds on their way to int8 or fp16: old ones, large ones, tables, subgraphs; what is removed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.convert.base import Order
from harness.convert.onnx_fp16 import OnnxToFp16
from harness.convert.onnx_int8 import OnnxToInt8
from harness.convert.onnx_model import tidied
from harness.runtimes.base import ModelError
from harness.spec.variant import Variant
from harness.suites import digits

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

ROWS = {"x": np.random.default_rng(5).standard_normal((24, 16)).astype(np.float32)}
METHODS = ("static", "dynamic", "weights")


@pytest.fixture
def made(tmp_path):
    """Convert a file; returns the result's path."""

    def call(path, conversion=OnnxToInt8, rows=ROWS, **options):
        made = conversion()
        folder = tmp_path / f"made-{path.stem}-{options.get('method')}"
        folder.mkdir()
        order = Order({}, {**getattr(made, "defaults", {}), **options}, rows)
        return folder / made.convert(made.load(Variant(format="onnx", path=str(path))), order, folder).name

    return call


def outputs(path, rows=ROWS):
    return onnxruntime.InferenceSession(str(path)).run(None, rows)[0]


def close(path, original, rows=ROWS, within=0.05):
    before = outputs(original, rows)
    return np.abs(outputs(path, rows) - before).max() <= within * np.abs(before).max()


def stored(path):
    """How many numbers the large constants have, by type."""
    found = {}
    for each in onnx.load(path).graph.initializer:
        if int(np.prod(each.dims)) >= 256:
            found[each.data_type] = found.get(each.data_type, 0) + int(np.prod(each.dims))
    return found


@pytest.mark.parametrize("method", METHODS)
def test_old_operators_are_raised_to_those_with_a_scale_per_channel(made, models, tmp_path, method):
    old = models.perceptron(tmp_path / "old.onnx", models.seeded(16, 64, 8), opset=9)
    model = onnx.load(old)
    model.ir_version = 3  # constants are inputs, as they were then
    for name, array in models.seeded(16, 64, 8).items():
        kind = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape)
        model.graph.input.append(kind)
    onnx.save(model, old)
    result = made(old, method=method)
    assert close(result, old)
    assert [each.name for each in onnx.load(result).graph.input] == ["x"]
    assert onnx.TensorProto.FLOAT not in stored(result)


@pytest.mark.parametrize("method", METHODS)
def test_weights_beside_the_model_stay_beside_it(made, models, tmp_path, method):
    path = models.perceptron(tmp_path / "inside.onnx", models.seeded(16, 256, 8))
    large = tmp_path / "outside.onnx"
    onnx.save_model(onnx.load(path), str(large), save_as_external_data=True, location="outside.onnx.data")
    result = made(large, method=method)
    assert sorted(each.name for each in result.parent.iterdir()) == ["model.onnx", "model.onnx.data"]
    assert close(result, path)
    size = sum(each.stat().st_size for each in result.parent.iterdir())
    assert size < 0.5 * sum(each.stat().st_size for each in (large, tmp_path / "outside.onnx.data"))


@pytest.mark.parametrize("method", METHODS)
def test_rows_of_a_table_are_looked_up_in_int8(made, models, tmp_path, method):
    rng = np.random.default_rng(0)
    constants = {"table": rng.standard_normal((40, 16)), "weight": rng.standard_normal((16, 64))}
    nodes = [
        onnx.helper.make_node("Gather", ["table", "ids"], ["found"]),
        onnx.helper.make_node("ReduceMean", ["found"], ["mean"], axes=[1], keepdims=0),
        onnx.helper.make_node("MatMul", ["mean", "weight"], ["y"]),
    ]
    sides = {"ids": ("int64", ["batch", "tokens"])}, {"y": ("float32", ["batch", 64])}
    given = {name: array.astype(np.float32) for name, array in constants.items()}
    path = models.onnx_model(tmp_path / "table.onnx", nodes, *sides, given)
    rows = {"ids": rng.integers(0, 40, (24, 5))}
    result = made(path, rows=rows, method=method)
    assert close(result, path, rows)
    assert onnx.TensorProto.FLOAT not in stored(result)
    gather = next(node for node in onnx.load(result).graph.node if node.op_type == "Gather")
    kinds = {each.name: each.data_type for each in onnx.load(result).graph.initializer}
    if method != "static":  # there, ONNX Runtime moves the lookup before it dequantises when it loads the model
        assert kinds[gather.input[0]] in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)


@pytest.mark.parametrize("method", ["dynamic", "weights"])
def test_recurrent_weights_become_int8_too(made, models, tmp_path, method):
    rng = np.random.default_rng(0)
    shapes = {"w": (1, 64, 8), "r": (1, 64, 16)}
    constants = {name: (0.3 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}
    nodes = [onnx.helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=16)]
    sides = {"x": ("float32", ["time", "batch", 8])}, {"y": ("float32", ["time", 1, "batch", 16])}
    path = models.onnx_model(tmp_path / "lstm.onnx", nodes, *sides, constants)
    rows = {"x": rng.standard_normal((6, 3, 8)).astype(np.float32)}
    result = made(path, rows=None, method=method)
    assert close(result, path, rows)
    assert onnx.TensorProto.FLOAT not in stored(result)


def test_products_of_two_activations_stay_in_fp32(made, models, tmp_path):
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "weight"], ["kept"]),
        onnx.helper.make_node("Transpose", ["kept"], ["turned"], perm=[1, 0]),
        onnx.helper.make_node("MatMul", ["kept", "turned"], ["y"]),
    ]
    weight = np.random.default_rng(0).standard_normal((16, 32)).astype(np.float32)
    sides = {"x": ("float32", ["batch", 16])}, {"y": ("float32", ["batch", "batch"])}
    path = models.onnx_model(tmp_path / "two.onnx", nodes, *sides, {"weight": weight})
    result = onnx.load(made(path, method="static"))
    makers = {name: node.op_type for node in result.graph.node for name in node.output}
    (last,) = (node for node in result.graph.node if node.output[0] == "y")
    assert "DequantizeLinear" not in {makers[name] for name in last.input}


@pytest.mark.parametrize(("bias", "gemm"), [((64,), True), ((1, 64), True), ((1,), False)])
def test_a_bias_may_have_any_shape_that_is_broadcast(made, models, tmp_path, bias, gemm):
    """One number per channel, as [64] or [1, 64], is quantised; a Gemm with another bias stays as it is."""
    rng = np.random.default_rng(0)
    shapes = {"first": (16, 64), "bias": bias, "second": (64, 32)}
    constants = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        onnx.helper.make_node("Gemm", ["x", "first", "bias"], ["sum"]),
        onnx.helper.make_node("MatMul", ["sum", "second"], ["y"]),
    ]
    sides = {"x": ("float32", ["batch", 16])}, {"y": ("float32", ["batch", 32])}
    path = models.onnx_model(tmp_path / "biased.onnx", nodes, *sides, constants)
    result = made(path, method="static")
    assert close(result, path)
    assert stored(result).get(onnx.TensorProto.INT8, 0) == 64 * 32 + (16 * 64 if gemm else 0)


@pytest.mark.parametrize("method", METHODS)
def test_tables_that_folding_would_write_out_are_left_to_be_computed(made, models, tmp_path, method):
    """A million numbers from two: as spectral transforms have them."""
    constants = {
        "shape": np.array([256, 1024]),
        "half": np.float32([0.5]),
        "weight": models.seeded(16, 256, 1)["first"],
    }
    nodes = [
        onnx.helper.make_node("Expand", ["half", "shape"], ["table"]),
        onnx.helper.make_node("MatMul", ["x", "weight"], ["inner"]),
        onnx.helper.make_node("MatMul", ["inner", "table"], ["y"]),
    ]
    sides = {"x": ("float32", ["batch", 16])}, {"y": ("float32", ["batch", 1024])}
    path = models.onnx_model(tmp_path / "spectral.onnx", nodes, *sides, constants)
    result = made(path, method=method)
    assert close(result, path)
    assert result.stat().st_size < 0.4 * path.stat().st_size


def test_batch_normalisation_is_merged_into_the_weights(made, models, tmp_path):
    rng = np.random.default_rng(0)
    numbers = {
        "scale": rng.random(8) + 0.5,
        "shift": rng.random(8),
        "mean": rng.random(8),
        "variance": rng.random(8) + 0.5,
    }
    constants = {name: array.astype(np.float32) for name, array in numbers.items()}
    constants["kernel"] = rng.standard_normal((8, 4, 3, 3)).astype(np.float32)
    nodes = [
        onnx.helper.make_node("Conv", ["x", "kernel"], ["raw"]),
        onnx.helper.make_node("BatchNormalization", ["raw", "scale", "shift", "mean", "variance"], ["y"]),
    ]
    sides = {"x": ("float32", ["batch", 4, 8, 8])}, {"y": ("float32", ["batch", 8, 6, 6])}
    path = models.onnx_model(tmp_path / "normed.onnx", nodes, *sides, constants)
    rows = {"x": rng.standard_normal((24, 4, 8, 8)).astype(np.float32)}
    result = made(path, rows=rows, method="static")
    assert "BatchNormalization" not in {node.op_type for node in onnx.load(result).graph.node}
    assert close(result, path, rows)


def test_too_few_weights_to_be_worth_it_are_no_int8_model(made, models, tmp_path):
    path = models.perceptron(tmp_path / "tiny.onnx", models.seeded(16, 8, 2))
    with pytest.raises(ModelError, match=r"none of the model's weights became int8"):
        made(path, method="weights")


def test_fp16_halves_the_weights_and_keeps_inputs_and_outputs(made, models, tmp_path):
    path = models.perceptron(tmp_path / "net.onnx", models.seeded(16, 128, 8))
    result = made(path, OnnxToFp16)
    model = onnx.load(result)
    assert set(stored(result)) == {onnx.TensorProto.FLOAT16}
    kinds = {each.type.tensor_type.elem_type for each in (*model.graph.input, *model.graph.output)}
    assert kinds == {onnx.TensorProto.FLOAT}
    assert close(result, path, within=0.005)
    assert result.stat().st_size < 0.55 * path.stat().st_size
    onnx.checker.check_model(model)


def test_trees_have_no_fp16(made):
    path = Path(digits.__path__[0]) / "logistic.onnx"
    with pytest.raises(ModelError, match="the model has no weights that can be fp16: its operators are"):
        made(path, OnnxToFp16)


def described(models, path):
    """A perceptron as exporters write them: with texts everywhere, and an input that is called like an inner tensor."""
    model = onnx.load(models.perceptron(path, models.seeded(16, 32, 4)))
    model.doc_string = model.graph.doc_string = "made by hand"
    model.metadata_props.add(key="author", value="nobody")
    for node in model.graph.node:
        node.name, node.doc_string = f"a/long/scope/{node.op_type}", "stack trace"
        node.metadata_props.add(key="scope", value="a.long.scope")
        node.input[:] = ["t0" if name == "x" else name for name in node.input]
    model.graph.input[0].name = "t0"
    model.opset_import.append(onnx.helper.make_opsetid("com.unused", 1))
    return onnx.shape_inference.infer_shapes(model)


def test_what_no_runtime_reads_goes_and_the_outputs_are_the_same_to_the_bit(models, tmp_path):
    model = described(models, tmp_path / "net.onnx")
    onnx.save(model, tmp_path / "before.onnx")
    onnx.save(tidied(model), tmp_path / "after.onnx")
    before, after = (outputs(tmp_path / f"{name}.onnx", {"t0": ROWS["x"]}) for name in ("before", "after"))
    assert np.array_equal(before, after)
    raw = (tmp_path / "after.onnx").read_bytes()
    assert not any(word in raw for word in (b"scope", b"trace", b"hand", b"nobody", b"unused", b"active"))
    onnx.checker.check_model(onnx.load(tmp_path / "after.onnx"))


def test_names_that_subgraphs_may_use_are_kept(models, tmp_path):
    body = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["sum", "sum"], ["twice"])],
        "body",
        [],
        [onnx.helper.make_tensor_value_info("twice", onnx.TensorProto.FLOAT, None)],
    )
    other = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["sum"], ["once"])],
        "other",
        [],
        [onnx.helper.make_tensor_value_info("once", onnx.TensorProto.FLOAT, None)],
    )
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "weight"], ["sum"]),
        onnx.helper.make_node("If", ["yes"], ["y"], then_branch=body, else_branch=other),
    ]
    constants = {"weight": np.ones((16, 32), np.float32), "yes": np.array(True)}
    sides = {"x": ("float32", ["batch", 16])}, {"y": ("float32", ["batch", 32])}
    path = models.onnx_model(tmp_path / "branched.onnx", nodes, *sides, constants)
    onnx.save(tidied(onnx.load(path)), tmp_path / "after.onnx")
    assert np.array_equal(outputs(path), outputs(tmp_path / "after.onnx"))
