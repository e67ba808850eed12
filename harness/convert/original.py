"""What a conversion starts from: something that predicts and can write itself as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from harness.runtimes.base import Array, Feed, Tensor


class Original(Protocol):
    """A loaded candidate in its own format. Feeds are in `inputs` order, rows first."""

    inputs: tuple[Tensor, ...]

    def predict(self, feed: Feed) -> Array:
        """Return the main output of the original for a batch."""

    def to_onnx(self, example: Feed, path: Path) -> None:
        """Write the model as ONNX, taking any number of rows; `example` has two.

        Raises:
            ModelError: it cannot be expressed in ONNX.
        """
