"""What a conversion must offer. Implement this and register it in `harness.conversions` to add one.

The registered name says what it does: `<format>[.<precision>]-to-<format>[.<precision>]`, such as `pt2-to-onnx`
(any precision, which is kept) or `onnx.fp32-to-onnx.int8`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from harness.runtimes.base import Feed, Tensor
from harness.spec.arrays import Array
from harness.spec.variant import Variant
from harness.spec.wire import Fact


class Original(Protocol):
    """A loaded variant that is to be converted. Feeds are in `inputs` order, rows first."""

    inputs: tuple[Tensor, ...]

    def predict(self, feed: Feed) -> Array:
        """Return the main output for a batch."""


class Order(NamedTuple):
    """What a conversion is given: two rows of real inputs, the target's options for it, calibration inputs."""

    example: Feed
    options: Mapping[str, Fact]
    calibration: Mapping[str, Array] | None


class Conversion(Protocol):
    """Makes one format (and precision) of another. `options` a target may set, with their types."""

    options: Mapping[str, type]

    def load(self, variant: Variant) -> Original:
        """Load what is to be converted; raises ModelError where that is not possible."""

    def convert(self, original: Original, order: Order, folder: Path) -> str:
        """Write the result, which takes any number of rows, into `folder`; returns the name of its main file.

        Raises ModelError where the model cannot be expressed in the new format.
        """
