"""Quantising ONNX models to int8: what comes out, what it costs in accuracy and bytes, what is refused."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import numpy as np
import pytest

from harness.convert.convert import convert
from harness.convert.onnx_int8 import OnnxToInt8
from harness.runtimes.base import ModelError
from harness.spec.suite import Candidate, Synthetic
from harness.spec.target import Target
from harness.spec.variant import Variant
from harness.spec.wire import Convert
from harness.suites import digits

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

DIGITS = digits.__path__[0]
ROWS = np.random.default_rng(5).standard_normal((96, 16)).astype(np.float32)
INT8, UINT8 = onnx.TensorProto.INT8, onnx.TensorProto.UINT8
NAME = "onnx.fp32-to-onnx.int8"


class Bench:
    """Converts the model at `path` to int8 in this process; `folder` has what the last conversion wrote."""

    def __init__(self, folder, models):
        self.base, self.number = folder, 0
        self.path = models.perceptron(folder / "net.onnx", models.seeded(16, 64, 4))
        self.write("evaluation", x=ROWS[:32])
        self.write("calibration", x=ROWS[32:])

    def write(self, split, **arrays):
        for name, array in arrays.items():
            (self.base / split / "inputs").mkdir(parents=True, exist_ok=True)
            np.save(self.base / split / "inputs" / f"{name}.npy", array)

    def __call__(self, path=None, calibrated=True, rows=True, conversion=NAME, **options):
        self.number += 1
        self.folder = self.base / f"made-{self.number}"
        self.folder.mkdir()
        self.job = Convert(
            candidate=Candidate(name="net", path="net.onnx"),
            target=Target(name="t", description="d", runtime="onnxruntime", conversion=options),
            source=Variant(format="onnx", path=str(path or self.path)),
            conversion=conversion,
            dataset=str(self.base / "evaluation") if rows else None,
            calibration=str(self.base / "calibration") if calibrated else None,
            synthetic=None if rows else Synthetic(rows=8),
        )
        return convert(self.job, self.folder)

    @property
    def model(self):
        return onnx.load(self.folder / "model.onnx")

    def outputs(self, path=None, **feed):
        session = onnxruntime.InferenceSession(str(path or self.folder / "model.onnx"))
        return session.run(None, feed or {"x": ROWS})[0]

    def weights(self):
        """The constants of two axes or more, by the type that they have."""
        return {each.name: each.data_type for each in self.model.graph.initializer if len(each.dims) > 1}


@pytest.fixture
def int8(tmp_path, models):
    return Bench(tmp_path, models)


def test_static_int8_is_calibrated_and_every_option_is_on_record(int8):
    outcome = int8()
    assert (outcome.status, outcome.message, outcome.notes) == ("ok", "", ())
    assert outcome.settings == {
        **OnnxToInt8.defaults,
        "method": "static",
        "calibration_rows": 64,
        "percentile": None,  # it would count with calibration = "percentile"
    }
    assert sorted(path.name for path in int8.folder.iterdir()) == ["model.onnx", "reference.npy"]
    assert set(int8.weights().values()) == {INT8}
    assert {node.op_type for node in int8.model.graph.node} >= {"QuantizeLinear", "DequantizeLinear"}
    before = int8.outputs(int8.path)
    for rows in (1, 7, 96):  # any batch
        assert np.abs(int8.outputs(x=ROWS[:rows]) - before[:rows]).max() < 0.05 * np.abs(before).max()
    assert outcome.parity.rows == 32 and outcome.parity.top1_agreement >= 0.9


def input_scale(model):
    """The scale that the input is quantised with."""
    node = next(node for node in model.graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "x")
    return next(onnx.numpy_helper.to_array(each) for each in model.graph.initializer if each.name == node.input[1])


def test_ranges_are_those_of_the_rows_that_calibrate_and_of_no_others(int8):
    int8()
    assert input_scale(int8.model) == pytest.approx((ROWS[32:].max() - ROWS[32:].min()) / 255, rel=1e-5)
    int8.write("evaluation", x=100 * ROWS[:32])
    int8()
    assert input_scale(int8.model) == pytest.approx((ROWS[32:].max() - ROWS[32:].min()) / 255, rel=1e-5)
    outcome = int8(calibration_rows=1)
    assert input_scale(int8.model) == pytest.approx((ROWS[32].max() - ROWS[32].min()) / 255, rel=1e-5)
    assert outcome.settings["calibration_rows"] == 1


def test_activations_may_be_signed(int8):
    for kind, word in ((UINT8, "uint8"), (INT8, "int8")):
        int8(activations=word)
        model = int8.model
        quantise = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
        assert {each.data_type for each in model.graph.initializer if each.name == quantise.input[2]} == {kind}


def test_one_scale_per_channel_keeps_small_channels(int8, models):
    weights = models.seeded(16, 64, 4)
    weights["second"] *= np.array([1, 1, 1, 0.004], np.float32)  # less than a step of the largest
    path = models.perceptron(int8.base / "uneven.onnx", weights)
    errors = {}
    for per_channel in (True, False):
        int8(path, per_channel=per_channel)
        errors[per_channel] = (
            np.abs(int8.outputs() - int8.outputs(path))[:, 3].max() / np.abs(int8.outputs(path))[:, 3].max()
        )
    assert errors[True] < 0.1 < errors[False]


def test_without_calibration_rows_it_is_dynamic_and_says_so(int8):
    outcome = int8(calibrated=False)
    assert [note.code for note in outcome.notes] == ["calibration_missing", "dynamic_ranges"]
    used = {name: value for name, value in outcome.settings.items() if value is not None}
    assert used == {"method": "dynamic", "per_channel": True, "reduce_range": False}
    assert {node.op_type for node in int8.model.graph.node} >= {"DynamicQuantizeLinear", "MatMulInteger"}
    assert np.abs(int8.outputs() - int8.outputs(int8.path)).max() < 0.05 * np.abs(int8.outputs(int8.path)).max()
    assert [note.code for note in int8(method="dynamic").notes] == ["dynamic_ranges"]  # this was asked for
    assert int8(rows=False, calibrated=False).settings["method"] == "dynamic"  # inputs drawn from the signature


def test_weights_alone_leave_the_activations_as_they_are(int8):
    outcome = int8(method="weights")
    operators = [node.op_type for node in int8.model.graph.node]
    assert outcome.settings["method"] == "weights"
    assert operators.count("DequantizeLinear") == 2 and "QuantizeLinear" not in operators
    assert set(int8.weights().values()) == {INT8}
    assert np.abs(int8.outputs() - int8.outputs(int8.path)).max() < 0.02 * np.abs(int8.outputs(int8.path)).max()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "statik"}, "method: 'statik' is none of auto, static, dynamic, weights"),
        ({"calibration": "max"}, "calibration: 'max' is none of minmax, entropy, percentile"),
        ({"activations": "int4"}, "activations: 'int4' is none of uint8, int8"),
        ({"calibration_rows": 0}, "calibration_rows: must be 1 at least, not 0"),
        ({"percentile": 101.0}, "percentile: must be above 0 and at most 100, not 101"),
        ({"per_channel": 1}, "per_channel: expected bool, got int"),
    ],
)
def test_a_wrong_option_is_named_with_what_it_may_be(int8, options, says):
    outcome = int8(**options)
    assert (outcome.status, outcome.message) == ("invalid", f"conversion.{says}")


def test_static_int8_without_calibration_rows_is_refused(int8):
    outcome = int8(calibrated=False, method="static")
    assert outcome.status == "invalid"
    assert outcome.message.startswith("conversion.method: 'static' needs calibration rows: give the suite's [dataset]")


@pytest.mark.parametrize("method", ["auto", "dynamic", "weights"])
@pytest.mark.parametrize("name", ["forest", "logistic"])
def test_a_model_without_weights_is_a_clear_failure(int8, name, method):
    pixels = np.load(f"{DIGITS}/digits.npz")["pixels"].astype(np.float32) / 16
    int8.write("evaluation", x=pixels[:8])
    int8.write("calibration", x=pixels[8:16])
    with pytest.raises(
        ModelError, match=r"^int8 is not possible|^the model has no weights that can be int8: its operat"
    ):
        int8(f"{DIGITS}/{name}.onnx", method=method)


def test_calibration_rows_that_do_not_fit_the_model_are_refused(int8):
    int8.write("calibration", x=ROWS[:, :5])
    with pytest.raises(ModelError, match=r"'x' wants shape \[batch, 16\], the dataset gives \[rows, 5\]"):
        int8()


@pytest.mark.parametrize("method", ["static", "dynamic", "weights"])
def test_weights_within_branches_stay_and_that_is_said(int8, models, method):
    inner = onnx.numpy_helper.from_array(np.eye(64, dtype=np.float32), "inner")
    bodies = {}
    for name, node in (("then", ("MatMul", ["sum", "inner"])), ("else", ("Neg", ["sum"]))):
        out = models.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        nodes = [models.helper.make_node(*node, [name])]
        bodies[f"{name}_branch"] = models.helper.make_graph(nodes, name, [], [out], [inner] if name == "then" else [])
    nodes = [
        models.helper.make_node("MatMul", ["x", "weight"], ["sum"]),
        models.helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        models.helper.make_node("Greater", ["most", "zero"], ["yes"]),
        models.helper.make_node("If", ["yes"], ["y"], **bodies),
    ]
    constants = {"weight": models.seeded(16, 64, 4)["first"], "zero": np.array(0, np.float32)}
    sides = {"x": ("float32", ["batch", 16])}, {"y": ("float32", ["batch", 64])}
    outcome = int8(models.onnx_model(int8.base / "branched.onnx", nodes, *sides, constants), method=method)
    (note,) = [each for each in outcome.notes if each.code == "weights_left"]
    assert note.data == {"bytes": 64 * 64 * 4} and "stay in fp32" in note.message


IN_ANOTHER_PROCESS = """
import pathlib, sys
import msgspec
from harness.convert.convert import convert
from harness.spec.wire import Convert
convert(msgspec.json.decode(sys.stdin.buffer.read(), type=Convert), pathlib.Path(sys.argv[1]))
"""


def test_the_same_again_gives_the_same_bytes_in_another_process(int8):
    int8()
    other = int8.base / "other"
    other.mkdir()
    subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, str(other)],
        input=msgspec.json.encode(int8.job),
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    assert (other / "model.onnx").read_bytes() == (int8.folder / "model.onnx").read_bytes()
