"""scikit-learn → ONNX by skl2onnx: one float32 input, probabilities (or predictions) out."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from harness.runtimes.base import Array, Feed, ModelError, Tensor, local_path
from harness.runtimes.builder import build
from harness.spec.wire import Artefact


class SklearnOriginal:
    """A fitted estimator."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        features = int(getattr(estimator, "n_features_in_", 0))
        if not features:
            raise ModelError("the estimator is not fitted: it does not know its number of features")
        self.inputs: tuple[Tensor, ...] = (Tensor("features", np.dtype("float32"), ("batch", features)),)

    def predict(self, feed: Feed) -> Array:
        """Return class probabilities where the estimator has them, else its predictions."""
        (features,) = feed.values()
        if hasattr(self._estimator, "predict_proba"):
            return np.asarray(self._estimator.predict_proba(features), dtype=np.float32)
        if hasattr(self._estimator, "decision_function"):
            result = np.asarray(self._estimator.decision_function(features), dtype=np.float32)
        else:
            result = np.asarray(self._estimator.predict(features), dtype=np.float32)
        return result.reshape(len(result), -1)

    def to_onnx(self, example: Feed, path: Path) -> None:
        """Write with plain tensors for probabilities (or decision scores) instead of a sequence of maps."""
        try:
            model = self._converted(example["features"][:1])
        except Exception as error:  # skl2onnx raises many unrelated types
            raise ModelError(f"skl2onnx cannot express {type(self._estimator).__name__}: {error}") from error
        path.write_bytes(model.SerializeToString())

    def _converted(self, features: Array) -> Any:
        from skl2onnx import to_onnx

        if hasattr(self._estimator, "predict_proba"):
            return to_onnx(self._estimator, features, options={id(self._estimator): {"zipmap": False}})
        if hasattr(self._estimator, "decision_function"):
            options = {"zipmap": False, "raw_scores": True}
            with suppress(NameError):  # this estimator's converter knows no such options: its scores are raw
                return to_onnx(self._estimator, features, options={id(self._estimator): options})
        return to_onnx(self._estimator, features)


def load(artefact: Artefact) -> SklearnOriginal:
    """Load a fitted estimator from a builder, or from a joblib file the suite trusts.

    Raises:
        ModelError: there is none, or it is a pickle that is not trusted.
    """
    if artefact.builder is not None:
        return SklearnOriginal(build(artefact))
    path = local_path(artefact)
    if not artefact.trust_pickle:
        raise ModelError(f"{path.name} is a pickle and is refused; write trust_pickle = true if you made it")
    import joblib

    try:
        estimator = joblib.load(path)
    except MemoryError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise ModelError(f"joblib cannot load {path.name}: {error}") from error
    return SklearnOriginal(estimator)
