"""The conversion job, in a child process: make the variant, then compare it with the candidate's own outputs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.convert.base import Conversion, Made, OptionError, Order, Original
from harness.convert.chains import Form, apply
from harness.evidence.files import read_array, read_arrays, save_array
from harness.runtimes import feeds as feeding
from harness.runtimes.base import (
    Feed,
    ModelError,
    OutputError,
    Runtime,
    Session,
    Tensor,
    load_runtime,
    main_output,
    wrong_option,
)
from harness.runtimes.guess import Model, find
from harness.runtimes.layout import settle_by
from harness.spec import plugins
from harness.spec.arrays import Array
from harness.spec.outcome import Fact, Outcome
from harness.spec.suite import Candidate
from harness.spec.variant import ParityReport, Variant
from harness.spec.wire import Convert

PARITY_ROWS = 256
REFERENCE = "reference.npy"


def convert(job: Convert, folder: Path) -> Outcome:
    """Write the result into `folder`, with the candidate's own outputs, and report their parity.

    The first entry of the outcome's `files` is the result; `settings` has every option of the conversion as it was
    used, None where it has no value. Raises ModelError where the conversion is not possible, OutputError where either
    side gives NaN or infinity.
    """
    result = apply(job.conversion, Form(job.source.format, job.source.precision))
    if result is None:
        raise ModelError(f"'{job.conversion}' does not convert {job.source.format} ({job.source.precision})")
    conversion: Conversion = plugins.load("conversions", job.conversion)()
    original = conversion.load(job.source)
    tensors, arrays = _inputs(job, original)
    fixed = feeding.fixed_batch(tensors)
    given: dict[str, Fact] = {key: value for key, value in job.target.conversion.items() if key in conversion.options}
    if problem := wrong_option(given, conversion.options):
        return Outcome(status="invalid", message=f"conversion.{problem}")
    options = dict(getattr(conversion, "defaults", {})) | given
    calibration = read_arrays(Path(job.calibration) / "inputs") if job.calibration else None
    try:
        order = Order(feeding.batch(tensors, arrays, 0, fixed or 2), options, calibration)
        made = _as_made(conversion.convert(original, order, folder))
    except OptionError as error:
        return Outcome(status="invalid", message=f"conversion.{error}")
    variant = Variant(format=result.format, precision=result.precision, path=str(folder / made.name))
    rows = min(PARITY_ROWS, feeding.rows_in(arrays))  # of a fixed batch too: the next step of a chain may take another
    before = _before(job, original, tensors, arrays, rows)
    files = {made.name: (folder / made.name).stat().st_size, REFERENCE: save_array(folder / REFERENCE, before)}
    settings = dict.fromkeys(conversion.options) | options | dict(made.options)
    parity = _parity(job, variant, arrays, rows, before)
    return Outcome(status="ok", parity=parity, files=files, settings=settings, notes=made.notes)


def _as_made(found: str | Made) -> Made:
    return Made(found) if isinstance(found, str) else found


def _inputs(job: Convert, original: Original) -> tuple[tuple[Tensor, ...], dict[str, Array]]:
    """Return the inputs as they are laid out, and arrays: the dataset's, or synthetic ones that the original takes."""
    if job.dataset is not None:
        arrays = feeding.match(original.inputs, read_arrays(Path(job.dataset) / "inputs"))
        return settle_by(original.inputs, arrays), arrays
    if job.synthetic is None:
        raise ModelError("conversion needs inputs: give a [dataset]")
    hints = getattr(original, "hints", dict)
    guess = find(Model(original.inputs, lambda feed: [original.predict(feed)], hints), job.synthetic, job.seed)
    return guess.tensors, guess.arrays


def _before(
    job: Convert, original: Original, tensors: Sequence[Tensor], arrays: Mapping[str, Array], rows: int
) -> Array:
    """Return the candidate's own outputs: kept from the chain's first step, else by the target's runtime if it can."""
    if job.reference is not None:
        return read_array(Path(job.reference))
    runtime = load_runtime(job.target.runtime)
    if job.source.format in runtime.formats:
        return _finite("original", _run(job, runtime, job.source, arrays, rows))
    return _finite("original", _batched(tensors, arrays, rows, original.predict))


def _parity(job: Convert, made: Variant, arrays: Mapping[str, Array], rows: int, before: Array) -> ParityReport | None:
    """Run the result on the target's runtime; None where that does not load it (a middle step of a chain)."""
    runtime = load_runtime(job.target.runtime)
    if made.format not in runtime.formats:
        return None
    return compare(before, _finite("converted model", _run(job, runtime, made, arrays, rows)), job.candidate)


def _run(job: Convert, runtime: Runtime, variant: Variant, arrays: Mapping[str, Array], rows: int) -> Array:
    """Return a variant's main output, as a trial on the target would have it."""
    session = runtime.load(variant, job.target, job.resources.threads, job.seed, 0)
    with session.scope():
        return _answers(session, arrays, rows, job.candidate.output)


def _answers(session: Session, arrays: Mapping[str, Array], rows: int, output: str | None) -> Array:
    """Return the main output for the first rows, in batches that the session takes."""
    paired = feeding.match(session.inputs, arrays)
    tensors = settle_by(session.inputs, paired)
    return _batched(tensors, paired, rows, lambda feed: main_output(session.infer(feed), session.outputs, output))


def _batched(
    tensors: Sequence[Tensor], arrays: Mapping[str, Array], rows: int, answer: Callable[[Feed], Array]
) -> Array:
    """Return what is answered for the first rows, in batches of the size that is taken."""
    fixed, most = feeding.fixed_batch(tensors), feeding.most_rows(tensors) or rows
    starts = range(0, rows, fixed or most)
    feeds = [feeding.batch(tensors, arrays, start, fixed or min(most, rows - start)) for start in starts]
    parts = [np.array(answer(feed), ndmin=1) for feed in feeds]
    return np.concatenate(parts)[:rows]


def compare(before: Array, after: Array, candidate: Candidate) -> ParityReport:
    """Compare two main outputs row by row; raises ModelError where their shapes differ."""
    if before.shape != after.shape:
        raise ModelError(f"the converted model gives shape {after.shape}, its original {before.shape}")
    same = None
    if candidate.task == "classification" and before.ndim == 2 and len(before) and before.shape[1] > 1:
        same = float(np.mean(before.argmax(axis=1) == after.argmax(axis=1)))
    difference = np.abs(before.astype(np.float64) - after.astype(np.float64))
    return ParityReport(rows=len(before), max_abs_diff=float(difference.max(initial=0.0)), top1_agreement=same)


def _finite(whose: str, output: Array) -> Array:
    if output.dtype.kind == "f" and not np.isfinite(output).all():
        raise OutputError(f"the {whose} gives values that are NaN or infinite")
    return output
