from __future__ import annotations

import numpy as np
import pytest

from harness.runtimes import feeds
from harness.runtimes.base import ModelError, Tensor
from harness.runtimes.guess import Model, find
from harness.runtimes.litert import LiteRtRuntime
from harness.spec.suite import Synthetic
from harness.spec.target import Target
from harness.spec.variant import Variant

pytest.importorskip("ai_edge_litert")
F32 = np.dtype("float32")


def target(**options):
    return Target(name="t", description="d", runtime="litert", options={"intra_op_threads": 1, **options})


def load(path, threads=1, **options):
    return LiteRtRuntime().load(Variant(format="litert", path=str(path)), target(**options), threads, 0, 0)


@pytest.mark.parametrize("kind", ["float32", "int32", "int64"])
def test_names_are_the_signatures_and_dtypes_the_models(tflite, tmp_path, kind):
    session = load(tflite.doubled(tmp_path / "m.tflite", kind))
    assert (session.inputs, session.outputs) == ((Tensor("x", np.dtype(kind), (1, 3)),), ("y",))
    x = np.array([[1, 2, 3]], kind)
    (y,) = session.infer({"x": x})
    assert y.dtype == np.dtype(kind)
    np.testing.assert_array_equal(y, 2 * x)


def test_without_a_signature_names_are_those_of_the_tensors(tflite, tmp_path):
    session = load(tflite.doubled(tmp_path / "m.tflite", signature=False))
    assert (session.inputs[0].name, session.outputs) == ("graph/in", ("graph/out",))
    assert session.infer({"graph/in": np.ones((1, 3), np.float32)})[0].tolist() == [[2.0] * 3]


def test_several_inputs_are_fed_by_name_and_several_outputs_come_in_the_files_order(tflite, tmp_path):
    graph = tflite.Graph()
    taken = {name: graph.tensor(f"in_{name}", "float32", (2, 3)) for name in ("minuend", "subtrahend")}
    given = {name: graph.tensor(f"out_{name}", "float32", (2, 3)) for name in ("difference", "sum")}
    graph.operator("SUB", taken.values(), [given["difference"]], tflite.schema.SubOptionsT())
    graph.operator("ADD", taken.values(), [given["sum"]], tflite.schema.AddOptionsT())
    path = graph.write(tmp_path / "m.tflite", taken.values(), given.values(), (taken, given))
    session = load(path)
    assert [each.name for each in session.inputs] == ["minuend", "subtrahend"]
    assert session.outputs == ("difference", "sum")
    rows = {"subtrahend": np.ones((2, 3), np.float64), "minuend": np.full((2, 3), 3, np.float64)}
    arrays = feeds.match(session.inputs, rows)
    difference, added = session.infer(feeds.batch(session.inputs, arrays, 0, 2))
    assert (difference.tolist(), added.tolist()) == ([[2.0] * 3] * 2, [[4.0] * 3] * 2)


@pytest.mark.parametrize("rows", [1, 4])
def test_a_fixed_batch_is_read_off_the_model(tflite, tmp_path, rows):
    session = load(tflite.doubled(tmp_path / "m.tflite", shape=(rows, 3)))
    assert feeds.fixed_batch(session.inputs) == rows


def test_an_open_batch_is_resized_to_each_request(tflite, tmp_path):
    session = load(tflite.doubled(tmp_path / "m.tflite", any_size=(0,)))
    assert session.inputs == (Tensor("x", F32, ("batch", 3)),)
    for rows in (5, 5, 1, 64, 2):
        x = np.random.default_rng(rows).random((rows, 3), np.float32)
        np.testing.assert_array_equal(session.infer({"x": x})[0], 2 * x)


def test_rows_for_an_open_size_are_found(tflite, tmp_path):
    session = load(tflite.doubled(tmp_path / "m.tflite", shape=(1, 3, 7), any_size=(0, 1)))
    assert session.inputs[0].shape == ("batch", "x_1", 7)
    found = find(Model(session.inputs, session.infer, dict), Synthetic(rows=4), 0)
    assert len(found.arrays["x"]) == 4 and found.arrays["x"].shape[2] == 7


def test_no_later_call_changes_an_output_and_a_read_only_feed_is_taken(tflite, tmp_path):
    session = load(tflite.doubled(tmp_path / "m.tflite"))
    x = np.ones((1, 3), np.float32)
    x.flags.writeable = False
    first = session.infer({"x": x})[0]
    session.infer({"x": np.zeros((1, 3), np.float32)})
    del session
    assert first.tolist() == [[2.0] * 3]


def test_xnnpack_computes_unless_the_target_says_no(tflite, tmp_path, models):
    weights = models.seeded(16, 64, 4)
    path = tflite.perceptron(tmp_path / "m.tflite", weights["first"], weights["second"])
    x = np.random.default_rng(0).random((1, 16), np.float32)
    wanted = np.maximum(x @ weights["first"], 0) @ weights["second"]
    for session, says in ((load(path), True), (load(path, xnnpack=False), False)):
        np.testing.assert_allclose(session.infer({"x": x})[0], wanted, atol=1e-4)
        assert session.facts() == {"litert.threads": 1, "litert.xnnpack": says}


def test_threads_are_the_targets_or_those_granted(tflite, tmp_path):
    path = tflite.doubled(tmp_path / "m.tflite")
    assert load(path).facts()["litert.threads"] == 1
    plain = Target(name="t", description="d", runtime="litert")
    granted = LiteRtRuntime().load(Variant(format="litert", path=str(path)), plain, 2, 0, 0)
    assert granted.facts()["litert.threads"] == 2


def test_what_cannot_be_fed_is_refused(tflite, tmp_path):
    graph = tflite.Graph()
    x, y = graph.tensor("x", "string", (1,)), graph.tensor("y", "string", (1,))
    graph.operator("RESHAPE", [x, graph.tensor("to", "int32", (1,), [1])], [y], tflite.schema.ReshapeOptionsT())
    with pytest.raises(ModelError, match=r"input 'x' has the type .*, which cannot be fed"):
        load(graph.write(tmp_path / "m.tflite", [x], [y]))


def test_a_model_without_inputs_says_so(tflite, tmp_path):
    graph = tflite.Graph()
    y, value = graph.tensor("y", "float32", (1,)), graph.tensor("v", "float32", (1,), [1.0])
    graph.operator("ADD", [value, value], [y], tflite.schema.AddOptionsT())
    with pytest.raises(ModelError, match="has no inputs"):
        load(graph.write(tmp_path / "m.tflite", [], [y]))


@pytest.mark.parametrize("part", [0, 10, 0.5], ids=["empty", "garbage", "truncated"])
def test_a_file_that_is_no_model_is_named(tflite, tmp_path, part):
    whole = tflite.doubled(tmp_path / "m.tflite").read_bytes()
    damaged = b"not a model" * part if isinstance(part, int) else whole[: int(len(whole) * part)]
    (tmp_path / "broken.tflite").write_bytes(damaged)
    with pytest.raises(ModelError, match=r"litert cannot load broken\.tflite: ") as caught:
        load(tmp_path / "broken.tflite")
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="model file not found"):
        load(tmp_path / "gone.tflite")


def test_an_operator_that_is_not_there_is_named(tflite, tmp_path):
    graph = tflite.Graph()
    x, y = (graph.tensor(name, "float32", (1, 3)) for name in "xy")
    graph.operator("CUSTOM", [x], [y])
    graph.model.operatorCodes[0].customCode = "NoSuchOperator"
    with pytest.raises(ModelError, match=r"litert cannot load m\.tflite: .*NoSuchOperator"):
        load(graph.write(tmp_path / "m.tflite", [x], [y]))


def test_what_is_not_there_is_said():
    runtime = LiteRtRuntime()
    assert runtime.unavailable(target()) is None
    elsewhere = Target(name="t", description="d", runtime="litert", device="cuda")
    assert runtime.unavailable(elsewhere) == "device 'cuda' is not supported by this runtime (cpu)"
    assert runtime.forkable(target()) and not runtime.forkable(elsewhere)
    assert set(runtime.versions()) == {"ai-edge-litert", "numpy"}
