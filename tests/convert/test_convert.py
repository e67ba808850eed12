"""Conversions in this process: what comes out, and what is said of how far it strays."""

from __future__ import annotations

import numpy as np
import pytest

from harness.convert.convert import REFERENCE, compare, convert
from harness.convert.from_sklearn import SklearnOriginal
from harness.runtimes.base import ModelError, OutputError, Tensor
from harness.spec import plugins
from harness.spec.suite import Candidate, Synthetic
from harness.spec.target import Target
from harness.spec.variant import Variant
from harness.spec.wire import Convert
from harness.suites import digits

pytest.importorskip("skl2onnx")
onnxruntime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")
joblib = pytest.importorskip("joblib")
svm = pytest.importorskip("sklearn.svm")
linear_model = pytest.importorskip("sklearn.linear_model")

DIGITS = digits.__path__[0]
FEATURES = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
CLASSES = np.digitize(FEATURES[:, 0], [-0.5, 0.5])


TARGET = Target(name="t", description="d", runtime="onnxruntime", options={"intra_op_threads": 1})
CLASSIFIER = Candidate(name="c", path="x")


def job(variant, dataset=None, target=TARGET, conversion=None, reference=None, calibration=None, **more):
    return Convert(
        candidate=Candidate(name="c", path="x", **more),
        target=target,
        source=variant,
        conversion=conversion or f"{variant.format}-to-onnx",
        dataset=str(dataset) if dataset else None,
        calibration=str(calibration) if calibration else None,
        synthetic=None if dataset else Synthetic(rows=8),
        reference=str(reference) if reference else None,
    )


def dataset(folder, **arrays):
    (folder / "data" / "inputs").mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / "data" / "inputs" / f"{name}.npy", array)
    return folder / "data"


def session(folder):
    return onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])


@pytest.fixture
def beside(torch_beside, tmp_path, monkeypatch):
    """A variant that a builder in `tmp_path` makes."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(function, **more):
        fields = {"format": "torch", "builder": f"{torch_beside}:{function}", "import_from": str(tmp_path)}
        return Variant(**(fields | more))

    return call


def fitted(tmp_path, estimator, targets=CLASSES):
    joblib.dump(estimator.fit(FEATURES, targets), tmp_path / "m.joblib")
    return Variant(format="sklearn", path=str(tmp_path / "m.joblib"), trust_pickle=True)


def test_an_exported_program_becomes_onnx_and_agrees_on_real_rows(tmp_path):
    pixels = np.load(f"{DIGITS}/digits.npz")["pixels"][:40].astype(np.float32) / 16
    variant = Variant(format="pt2", path=f"{DIGITS}/mlp.pt2")
    outcome = convert(job(variant, dataset(tmp_path, pixels=pixels)), tmp_path)
    assert outcome.parity.rows == 40
    assert outcome.parity.top1_agreement == 1.0
    assert outcome.parity.max_abs_diff < 1e-4
    assert list(outcome.files) == ["model.onnx", REFERENCE]  # the result is first
    assert outcome.files == {name: (tmp_path / name).stat().st_size for name in outcome.files}
    with torch.inference_mode():
        before = torch.export.load(variant.path).module()(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(np.load(tmp_path / REFERENCE), before, atol=1e-6)
    for rows in (1, 3, 40):  # any batch
        (after,) = session(tmp_path).run(None, {"pixels": pixels[:rows]})
        np.testing.assert_allclose(after, before[:rows], atol=1e-4)


def test_a_builder_becomes_onnx_with_its_own_input_names(tmp_path, beside):
    outcome = convert(job(beside("tokens")), tmp_path)
    assert outcome.parity.max_abs_diff < 1e-5
    made = session(tmp_path)
    assert [(arg.name, arg.type) for arg in made.get_inputs()] == [
        ("tokens", "tensor(int64)"),
        ("mask", "tensor(float)"),
    ]
    for rows in (1, 7):
        feed = {"tokens": np.ones((rows, 5), np.int64), "mask": np.ones((rows, 5), np.float32)}
        assert made.run(None, feed)[0].shape == (rows, 3)


def test_the_main_output_is_the_same_before_and_after(tmp_path, beside):
    outcome = convert(job(beside("label_first")), tmp_path)
    assert outcome.parity.max_abs_diff < 1e-5
    assert outcome.parity.top1_agreement == 1.0


def test_a_module_is_converted_in_evaluation(tmp_path, beside):
    assert convert(job(beside("dropping")), tmp_path).parity.max_abs_diff < 1e-5


@pytest.mark.parametrize(
    ("estimator", "targets", "width"),
    [
        (linear_model.LogisticRegression(), CLASSES, 3),
        (linear_model.LogisticRegression(), np.array(["a", "b", "c"])[CLASSES], 3),
        (linear_model.LogisticRegression(), CLASSES > 0, 2),
        (svm.LinearSVC(), CLASSES, 3),
        (svm.LinearSVC(), CLASSES > 0, 1),
        (svm.SVC(), CLASSES, 3),
        (linear_model.LinearRegression(), FEATURES[:, 0], 1),
        (linear_model.LinearRegression(), FEATURES[:, :2], 2),
    ],
)
def test_an_estimator_becomes_onnx_and_agrees(tmp_path, estimator, targets, width):
    task = "regression" if isinstance(estimator, linear_model.LinearRegression) else "classification"
    variant = fitted(tmp_path, estimator, targets)
    outcome = convert(job(variant, dataset(tmp_path, features=FEATURES), task=task), tmp_path)
    assert outcome.parity.max_abs_diff < 1e-5
    assert outcome.parity.top1_agreement == (None if task == "regression" or width == 1 else 1.0)
    outputs = session(tmp_path).run(None, {"X": FEATURES[:5]})
    assert next(o for o in outputs if o.dtype == np.float32).shape == (5, width)


def test_a_pickle_is_refused_without_trust_and_not_read(tmp_path):
    path = tmp_path / "m.joblib"
    path.write_bytes(b"would fail if it were read")
    with pytest.raises(ModelError, match=r"^m\.joblib is a pickle and is refused; write trust_pickle = true"):
        convert(job(Variant(format="sklearn", path=str(path))), tmp_path)
    with pytest.raises(ModelError, match=r"^joblib cannot load m\.joblib: "):
        convert(job(Variant(format="sklearn", path=str(path), trust_pickle=True)), tmp_path)


def test_an_estimator_that_was_never_fitted_says_so():
    with pytest.raises(ModelError, match="not fitted"):
        SklearnOriginal(linear_model.LogisticRegression())


def test_a_conversion_is_not_used_on_another_format(tmp_path):
    with pytest.raises(ModelError, match=r"^'pt2-to-onnx' does not convert fake \(fp32\)$"):
        convert(job(Variant(format="fake", path="x"), conversion="pt2-to-onnx"), tmp_path)


def test_a_dataset_that_does_not_fit_is_refused_before_converting(tmp_path):
    variant = fitted(tmp_path, linear_model.LogisticRegression())
    with pytest.raises(ModelError, match=r"'features' wants shape \[batch, 3\], the dataset gives \[rows, 2\]"):
        convert(job(variant, dataset(tmp_path, x=FEATURES[:, :2])), tmp_path)
    assert not (tmp_path / "model.onnx").exists()


class Doubler:
    """Claims to be what `tests/models.py` doubles, and differs by `off` in its first row."""

    inputs = (Tensor("x", np.dtype("float32"), ("batch", 3)),)

    def __init__(self, off):
        self.off = off

    def predict(self, feed):
        (x,) = feed.values()
        y = 2 * x
        y[0] += np.array(self.off, dtype=np.float32)
        return y


class Doubling:
    """The conversion of a `Doubler`, as a plug-in gives it; `seen` is the order it was last given."""

    options = {"bits": int, "unused": str}  # noqa: RUF012 - as a plug-in may write it

    def __init__(self, models, off, wrong):
        self.models, self.off, self.wrong = models, off, wrong

    def load(self, variant):
        return Doubler(self.off)

    def convert(self, original, order, folder):
        self.seen = order
        helper = self.models.helper
        nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
        if self.wrong:  # 2x / 0 is infinite where x is not 0
            nodes = [helper.make_node("Sub", ["x", "x"], ["zero"]), helper.make_node("Div", ["x", "zero"], ["y"])]
        side = {"x": ("float32", ["batch", 3])}, {"y": ("float32", ["batch", 3])}
        return self.models.onnx_model(folder / "made.onnx", nodes, *side).name


@pytest.fixture
def doubling(models, tmp_path, monkeypatch):
    """Register a `Doubling` as `fake-to-onnx.int8`, and convert with it."""
    rows = np.tile(np.array([[3.0, 2.0, 1.0]], np.float32), (4, 1))
    data = dataset(tmp_path, x=rows)
    loaded = plugins.load
    made = Doubling(models, [0, 0, 0], False)
    monkeypatch.setattr(plugins, "load", lambda g, n: (lambda: made) if g == "conversions" else loaded(g, n))

    def call(off=(0, 0, 0), wrong=False, **more):
        made.off, made.wrong = off, wrong
        fields = {"dataset": data, "conversion": "fake-to-onnx.int8"} | more
        return convert(job(Variant(format="fake", path="x"), **fields), tmp_path)

    call.conversion = made
    return call


def test_parity_in_literal_numbers(doubling):
    same = doubling().parity
    assert (same.max_abs_diff, same.top1_agreement) == (0.0, 1.0)
    strayed = doubling([0, 2.5, 0]).parity  # the first of four rows now prefers its second class
    assert (strayed.rows, strayed.max_abs_diff, strayed.top1_agreement) == (4, 2.5, 0.75)
    assert doubling([0, 2.5, 0], task="regression").parity.top1_agreement is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_are_no_parity(doubling, bad):
    with pytest.raises(OutputError, match="the original gives values that are NaN or infinite"):
        doubling([0, bad, 0])


def test_a_result_that_gives_no_numbers_is_no_parity(doubling):
    with pytest.raises(OutputError, match="the converted model gives values that are NaN or infinite"):
        doubling(wrong=True)


def test_shapes_that_differ_are_no_parity():
    with pytest.raises(ModelError, match=r"^the converted model gives shape \(4, 2\), its original \(4, 3\)$"):
        compare(np.zeros((4, 3)), np.zeros((4, 2)), CLASSIFIER)


def test_two_outputs_that_are_empty_do_not_differ():
    """A detector that finds nothing gives no boxes, in any precision."""
    report = compare(np.zeros((0, 7)), np.zeros((0, 7)), CLASSIFIER)
    assert (report.rows, report.max_abs_diff, report.top1_agreement) == (0, 0.0, None)


def test_a_later_step_is_compared_with_the_candidates_own_outputs(doubling, tmp_path):
    own = np.tile(np.array([[6.0, 4.0, 2.5]], np.float32), (4, 1))
    np.save(tmp_path / "own.npy", own)
    outcome = doubling([np.nan, 0, 0], reference=tmp_path / "own.npy")  # what is converted is not even asked
    assert outcome.parity.max_abs_diff == 0.5
    assert np.array_equal(np.load(tmp_path / REFERENCE), own)  # the next step is compared with the same


def test_a_middle_step_that_the_target_does_not_load_is_not_compared(doubling, tmp_path):
    target = Target(name="t", description="d", runtime="torch")
    assert doubling(target=target).parity is None
    assert np.load(tmp_path / REFERENCE).shape == (4, 3)


def test_a_conversion_gets_its_options_real_rows_and_the_calibration_split(doubling, tmp_path):
    calibration = np.arange(15, dtype=np.float32).reshape(5, 3)
    (tmp_path / "calibration" / "inputs").mkdir(parents=True)
    np.save(tmp_path / "calibration" / "inputs" / "x.npy", calibration)
    target = Target(name="t", description="d", runtime="onnxruntime", conversion={"bits": 4, "of_another_step": 1})
    outcome = doubling(target=target, calibration=tmp_path / "calibration")
    seen = doubling.conversion.seen
    assert seen.options == {"bits": 4}
    assert seen.example["x"].tolist() == [[3.0, 2.0, 1.0]] * 2
    assert np.array_equal(seen.calibration["x"], calibration)
    assert outcome.settings == {"bits": 4, "unused": None}  # all that this step knows; None: it was not set
    assert next(iter(outcome.files)) == "made.onnx"
    doubling()
    assert doubling.conversion.seen.calibration is None


def test_without_inputs_nothing_is_converted(doubling):
    with pytest.raises(ModelError, match="conversion needs inputs"):
        convert(
            Convert(
                candidate=CLASSIFIER,
                target=TARGET,
                source=Variant(format="fake", path="x"),
                conversion="fake-to-onnx.int8",
            ),
            None,
        )
