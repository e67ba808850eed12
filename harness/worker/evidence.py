"""Writing evidence: arrays, and the outcome as the last, atomic file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.spec.wire import Outcome


def save_array(path: Path, array: NDArray[Any]) -> int:
    """Write `array` as .npy, through to the disk; returns the file's bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    return path.stat().st_size


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Write `outcome.json` so that it is either whole or absent: temporary file, fsync, rename."""
    temporary = folder / "outcome.json.tmp"
    with temporary.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(outcome), indent=1))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / "outcome.json")
