"""Measure the candidates of a suite on its targets, keep the evidence in results, and decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from harness.analyse.frames import Frames

__version__ = "0.1.0"


def load(run: str | Path = "latest", root: str | Path = "results") -> Frames:
    """Load a finished run into pandas frames: `.ranking`, `.measurements`, `.folder`.

    Raises:
        harness.errors.HarnessError: there is no such run, or it has no ranking yet.
    """
    from harness.analyse import frames

    return frames.load(run, root)
