"""What a conversion must offer. Implement this and register it in `harness.conversions` to add one.

The registered name says what it does: `<format>[.<precision>]-to-<format>[.<precision>]`, such as `pt2-to-onnx`
(any precision, which is kept) or `onnx.fp32-to-onnx.int8`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from harness.runtimes.base import Feed, Tensor
from harness.spec.arrays import Array
from harness.spec.diagnostics import Diagnostic
from harness.spec.outcome import Fact
from harness.spec.variant import Variant


class Original(Protocol):
    """A loaded variant that is to be converted. Feeds are in `inputs` order, rows first."""

    inputs: tuple[Tensor, ...]

    def predict(self, feed: Feed) -> Array:
        """Return the main output for a batch."""


class Order(NamedTuple):
    """What a conversion is given: two rows of real inputs, the target's options for it, calibration inputs.

    `options` are the target's, and the conversion's `defaults` where the target says nothing.
    """

    example: Feed
    options: Mapping[str, Fact]
    calibration: Mapping[str, Array] | None


class Made(NamedTuple):
    """What a conversion wrote: the name of its main file, options that came out otherwise, notes on the row.

    An option of the conversion that this result does not depend on is None.
    """

    name: str
    options: Mapping[str, Fact] = {}
    notes: tuple[Diagnostic, ...] = ()


class OptionError(Exception):
    """A target's option has a value that the conversion does not know. The text begins with the option's name."""


class Conversion(Protocol):
    """Makes one format (and precision) of another. `options` a target may set, with their types.

    An attribute `defaults`, which may be left out, holds what an option is where the target does not set it.
    """

    options: Mapping[str, type]

    def load(self, variant: Variant) -> Original:
        """Load what is to be converted; raises ModelError where that is not possible."""

    def convert(self, original: Original, order: Order, folder: Path) -> str | Made:
        """Write the result, which takes any number of rows, into `folder`; returns the name of its main file.

        Or `Made`, where there is more to say. Raises ModelError where the model cannot be expressed in the new format,
        OptionError where an option has a wrong value.
        """
