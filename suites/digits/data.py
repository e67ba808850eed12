"""The digits the suite is measured on: 8 x 8 grey images of handwritten digits, in two fixed halves.

`digits.npz` holds all rows and the split. `train.py` made it; this module needs numpy and nothing else,
so a worker that measures a model does not pay for importing scikit-learn.
"""

from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

DATA_FILE = Path(__file__).with_name("digits.npz")
# What stratified the rows into halves. The halves are stored in the file: changing this needs a retraining.
SPLIT_SEED = 20260801
PIXEL_LEVELS = 16


class Dataset(TypedDict):
    """Named model inputs and the class of each row."""

    inputs: dict[str, npt.NDArray[np.float32]]
    labels: npt.NDArray[np.int64]


def load() -> Dataset:
    """Return the held-out half: `pixels` float32 [rows, 64] in 0..1, and `labels` int64 [rows]."""
    return _half(held_out=True)


def train_split() -> Dataset:
    """Return the half that the candidates were trained on, in the shape of `load`."""
    return _half(held_out=False)


def _half(*, held_out: bool) -> Dataset:
    with np.load(DATA_FILE, allow_pickle=False) as stored:
        rows: npt.NDArray[Any] = stored["held_out"] == held_out
        pixels = stored["pixels"][rows].astype(np.float32) / np.float32(PIXEL_LEVELS)
        return {"inputs": {"pixels": pixels}, "labels": stored["labels"][rows].astype(np.int64)}
