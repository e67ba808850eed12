"""scikit-learn to ONNX by skl2onnx: one float32 input, probabilities (or predictions) out."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from harness.convert.base import Order
from harness.runtimes.base import Feed, ModelError, Tensor, build, model_errors, refuse_pickle
from harness.spec.arrays import Array
from harness.spec.variant import Variant


class SklearnOriginal:
    """A fitted estimator."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        features = int(getattr(estimator, "n_features_in_", 0))
        if not features:
            raise ModelError("the estimator is not fitted: it does not know its number of features")
        self.inputs: tuple[Tensor, ...] = (Tensor("features", np.dtype("float32"), ("batch", features)),)

    def predict(self, feed: Feed) -> Array:
        """Return class probabilities where the estimator has them, else its predictions."""
        (features,) = feed.values()
        if hasattr(self.estimator, "predict_proba"):
            return np.asarray(self.estimator.predict_proba(features), dtype=np.float32)
        method = "decision_function" if hasattr(self.estimator, "decision_function") else "predict"
        return np.asarray(getattr(self.estimator, method)(features), dtype=np.float32).reshape(len(features), -1)


class SklearnToOnnx:
    """Converts an estimator with plain tensors for probabilities (or decision scores). It has no options."""

    options: Mapping[str, type] = {}

    def load(self, variant: Variant) -> SklearnOriginal:
        """Load a fitted estimator from a builder, or from a joblib file that the suite trusts."""
        if variant.builder is not None:
            return SklearnOriginal(build(variant))
        path = refuse_pickle(variant)
        import joblib

        with model_errors(f"joblib cannot load {path.name}"):
            return SklearnOriginal(joblib.load(path))

    def convert(self, original: SklearnOriginal, order: Order, folder: Path) -> str:
        """Write `model.onnx`."""
        with model_errors(f"skl2onnx cannot express {type(original.estimator).__name__}"):
            model = _converted(original.estimator, order.example["features"][:1])
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        return "model.onnx"


def _converted(estimator: Any, features: Array) -> Any:
    from skl2onnx import to_onnx

    if hasattr(estimator, "predict_proba"):
        return to_onnx(estimator, features, options={id(estimator): {"zipmap": False}})
    if hasattr(estimator, "decision_function"):
        options = {"zipmap": False, "raw_scores": True}
        with suppress(NameError):  # this estimator's converter knows no such options: its scores are raw
            return to_onnx(estimator, features, options={id(estimator): options})
    return to_onnx(estimator, features)
