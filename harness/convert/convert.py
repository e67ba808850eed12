"""The conversion job, in a child process: make the artefact, then compare it with its original."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from harness.convert import from_sklearn, from_torch
from harness.convert.original import Original
from harness.runtimes.base import Array, Feed, ModelError
from harness.spec.suite import Candidate
from harness.spec.wire import Artefact, Convert, Outcome, ParityReport
from harness.worker import feeds as feeding

PARITY_ROWS = 256
_MAKERS: Mapping[str, Callable[[Artefact], Original]] = {
    "pt2": from_torch.load,
    "torch": from_torch.load,
    "checkpoint": from_torch.load,
    "sklearn": from_sklearn.load,
}


def convert(job: Convert, folder: Path) -> Outcome:
    """Write `model.onnx` into `folder` and report its parity with the original on real inputs.

    Raises:
        ModelError: the original cannot be loaded, or cannot be expressed in the wanted format.
    """
    if job.wanted != "onnx" or job.artefact.format not in _MAKERS:
        raise ModelError(f"no way to make '{job.wanted}' from '{job.artefact.format}'")
    original = _MAKERS[job.artefact.format](job.artefact)
    arrays = _arrays(job, original)
    path = folder / "model.onnx"
    original.to_onnx(feeding.batch(original.inputs, arrays, 0, 2), path)
    report = parity(original, path, arrays, job.candidate)
    return Outcome(status="ok", parity=report, files={"model.onnx": path.stat().st_size})


def _arrays(job: Convert, original: Original) -> dict[str, Array]:
    if job.dataset is not None:
        return feeding.match(original.inputs, feeding.read_inputs(Path(job.dataset)))
    if job.synthetic is None:
        raise ModelError("conversion needs inputs: give a [dataset]")
    return feeding.synthesise(original.inputs, job.synthetic, job.seed)


def parity(original: Original, path: Path, arrays: Mapping[str, Array], candidate: Candidate) -> ParityReport:
    """Compare the original's and the converted model's main output over up to 256 rows.

    Raises:
        ModelError: the shapes differ.
        OutputError: one of them gives NaN or infinity.
    """
    rows = min(PARITY_ROWS, feeding.rows_in(arrays))
    feed = feeding.batch(original.inputs, arrays, 0, rows)
    before = original.predict(feed)
    after = _run(path, feed, candidate.output)
    if before.shape != after.shape:
        raise ModelError(f"the converted model gives shape {after.shape}, its original {before.shape}")
    _check_finite("original", before)
    _check_finite("converted model", after)
    same = None
    if candidate.task == "classification" and before.ndim == 2 and before.shape[1] > 1:
        same = float(np.mean(before.argmax(axis=1) == after.argmax(axis=1)))
    difference = np.abs(before.astype(np.float64) - after.astype(np.float64))
    return ParityReport(rows=rows, max_abs_diff=float(difference.max()), top1_agreement=same)


def _check_finite(whose: str, output: Array) -> None:
    from harness.worker.trial import OutputError

    if output.dtype.kind == "f" and not np.isfinite(output).all():
        raise OutputError(f"the {whose} gives values that are NaN or infinite")


def _run(path: Path, feed: Feed, output: str | None) -> Array:
    import onnxruntime as ort

    from harness.worker.trial import main_output

    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = [arg.name for arg in session.get_inputs()]
    renamed = dict(zip(inputs, feed.values(), strict=True)) if len(inputs) == 1 else feed
    names = [arg.name for arg in session.get_outputs()]
    return main_output(session.run(names, renamed), names, output)
