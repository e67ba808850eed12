"""How a variant in int8 gets the ranges of its activations, and the calibration rows in batches that a model takes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from harness.convert.base import OptionError
from harness.runtimes import feeds as feeding
from harness.runtimes.base import Feed, Tensor
from harness.runtimes.layout import settle_by
from harness.spec.arrays import Array
from harness.spec.diagnostics import Diagnostic, diagnostic

Feeds: TypeAlias = Callable[[], Iterator[Feed]]
BATCH = 8
"""Rows of one calibration run: a histogram needs every activation of a batch in memory."""
METHODS = ("auto", "static", "dynamic", "weights")
"""Ranges from calibration rows, from each request, or activations in fp32. "auto": the first that is possible."""
_UNCALIBRATED = "int8 is dynamic, because the dataset has no calibration rows"


def method_used(asked: str, calibrated: bool) -> str:
    """Return the method that is used; raises OptionError where it is none, or needs rows that are not there."""
    if asked not in METHODS:
        raise OptionError(f"method: '{asked}' is none of {', '.join(METHODS)}")
    if asked == "auto":
        return "static" if calibrated else "dynamic"
    if asked == "static" and not calibrated:
        raise OptionError("method: 'static' needs calibration rows: give the suite's [dataset] a calibration split")
    return asked


def checked_rows(calibration_rows: int) -> int:
    """Return the option if it makes sense; raises OptionError where it does not."""
    if calibration_rows < 1:
        raise OptionError(f"calibration_rows: must be 1 at least, not {calibration_rows}")
    return calibration_rows


def missing_rows(asked: str, used: str) -> tuple[Diagnostic, ...]:
    """Say that int8 is dynamic because there were no calibration rows; nothing where that was asked for."""
    return (diagnostic("calibration_missing", _UNCALIBRATED),) if (asked, used) == ("auto", "dynamic") else ()


def calibration_feeds(tensors: Sequence[Tensor], arrays: Mapping[str, Array], most: int) -> tuple[Feeds, int]:
    """Return a function that yields batches of at most `most` rows in all, and how many they are.

    They are spaced evenly over the split, because splits are often sorted by class. Raises ModelError where the arrays
    do not fit the inputs.
    """
    paired = feeding.match(tensors, arrays)
    settled, have = settle_by(tensors, paired), feeding.rows_in(paired)
    chosen = np.linspace(0, have - 1, min(most, have)).round().astype(np.int64)
    size = feeding.fixed_batch(settled) or (1 if any(tensor.axis is None for tensor in settled) else None)

    def feeds() -> Iterator[Feed]:
        for at in range(0, len(chosen), size or BATCH):
            rows = chosen[at : at + (size or BATCH)]
            yield feeding.batch(settled, {name: array[rows] for name, array in paired.items()}, 0, size or len(rows))

    return feeds, len(chosen)
