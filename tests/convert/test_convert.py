"""Conversions in this process: what comes out, and what is said of how far it strays."""

from __future__ import annotations

import numpy as np
import pytest

from harness.convert.convert import convert, parity
from harness.convert.from_sklearn import SklearnOriginal
from harness.runtimes.base import ModelError
from harness.spec.suite import Candidate, Synthetic
from harness.spec.wire import Artefact, Convert
from harness.suites import digits
from harness.worker.trial import OutputError

pytest.importorskip("skl2onnx")
onnxruntime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")
joblib = pytest.importorskip("joblib")
svm = pytest.importorskip("sklearn.svm")
linear_model = pytest.importorskip("sklearn.linear_model")

DIGITS = digits.__path__[0]
FEATURES = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
CLASSES = np.digitize(FEATURES[:, 0], [-0.5, 0.5])


def job(artefact, dataset=None, **more):
    synthetic = None if dataset else Synthetic(rows=8)
    candidate = Candidate(name="c", path="x", **more)
    return Convert(
        candidate=candidate,
        artefact=artefact,
        wanted="onnx",
        dataset=str(dataset) if dataset else None,
        synthetic=synthetic,
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
    """An artefact that a builder in `tmp_path` makes."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(function, **more):
        fields = {"format": "torch", "builder": f"{torch_beside}:{function}", "import_from": str(tmp_path)}
        return Artefact(**(fields | more))

    return call


def fitted(tmp_path, estimator, targets=CLASSES):
    joblib.dump(estimator.fit(FEATURES, targets), tmp_path / "m.joblib")
    return Artefact(format="sklearn", path=str(tmp_path / "m.joblib"), trust_pickle=True)


def test_an_exported_program_becomes_onnx_and_agrees_on_real_rows(tmp_path):
    pixels = np.load(f"{DIGITS}/digits.npz")["pixels"][:40].astype(np.float32) / 16
    artefact = Artefact(format="pt2", path=f"{DIGITS}/mlp.pt2")
    outcome = convert(job(artefact, dataset(tmp_path, pixels=pixels)), tmp_path)
    assert outcome.parity.rows == 40
    assert outcome.parity.top1_agreement == 1.0
    assert outcome.parity.max_abs_diff < 1e-4
    assert outcome.files == {"model.onnx": (tmp_path / "model.onnx").stat().st_size}
    with torch.inference_mode():
        before = torch.export.load(artefact.path).module()(torch.from_numpy(pixels)).numpy()
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
    artefact = fitted(tmp_path, estimator, targets)
    outcome = convert(job(artefact, dataset(tmp_path, features=FEATURES), task=task), tmp_path)
    assert outcome.parity.max_abs_diff < 1e-5
    assert outcome.parity.top1_agreement == (None if task == "regression" or width == 1 else 1.0)
    outputs = session(tmp_path).run(None, {"X": FEATURES[:5]})
    assert next(o for o in outputs if o.dtype == np.float32).shape == (5, width)


def test_a_pickle_is_refused_without_trust_and_not_read(tmp_path):
    path = tmp_path / "m.joblib"
    path.write_bytes(b"would fail if it were read")
    with pytest.raises(ModelError, match=r"^m\.joblib is a pickle and is refused; write trust_pickle = true"):
        convert(job(Artefact(format="sklearn", path=str(path))), tmp_path)
    with pytest.raises(ModelError, match=r"^joblib cannot load m\.joblib: "):
        convert(job(Artefact(format="sklearn", path=str(path), trust_pickle=True)), tmp_path)


def test_an_estimator_that_was_never_fitted_says_so():
    with pytest.raises(ModelError, match="not fitted"):
        SklearnOriginal(linear_model.LogisticRegression())


def test_there_is_no_way_between_some_formats(tmp_path):
    with pytest.raises(ModelError, match="no way to make 'onnx' from 'fake'"):
        convert(job(Artefact(format="fake", path="x")), tmp_path)


def test_a_dataset_that_does_not_fit_is_refused_before_converting(tmp_path):
    artefact = fitted(tmp_path, linear_model.LogisticRegression())
    with pytest.raises(ModelError, match=r"'features' wants shape \[batch, 3\], the dataset gives \[rows, 2\]"):
        convert(job(artefact, dataset(tmp_path, x=FEATURES[:, :2])), tmp_path)
    assert not (tmp_path / "model.onnx").exists()


class Doubler:
    """Claims to be what `tests/models.py` doubles, and strays by `off` in its first row."""

    def __init__(self, inputs, off):
        self.inputs, self.off = inputs, off

    def predict(self, feed):
        (x,) = feed.values()
        y = 2 * x
        y[0] += np.array(self.off, dtype=np.float32)
        return y


@pytest.fixture
def compared(models, tmp_path, onnx_target):
    from harness.runtimes.onnxruntime import OnnxRuntime

    path = models.doubled(tmp_path / "m.onnx")
    inputs = OnnxRuntime().load(Artefact(format="onnx", path=str(path)), onnx_target, 1, 0, 0).inputs
    rows = np.tile(np.array([[3.0, 2.0, 1.0]], np.float32), (4, 1))

    def call(off, task="classification"):
        return parity(Doubler(inputs, off), path, {"x": rows}, Candidate(name="c", path="x", task=task))

    return call


def test_parity_in_literal_numbers(compared):
    assert (compared([0, 0, 0]).max_abs_diff, compared([0, 0, 0]).top1_agreement) == (0.0, 1.0)
    strayed = compared([0, 2.5, 0])  # the first of four rows now prefers its second class
    assert (strayed.rows, strayed.max_abs_diff, strayed.top1_agreement) == (4, 2.5, 0.75)
    assert compared([0, 2.5, 0], task="regression").top1_agreement is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_are_no_parity(compared, bad):
    with pytest.raises(OutputError, match="the original gives values that are NaN or infinite"):
        compared([0, bad, 0])
