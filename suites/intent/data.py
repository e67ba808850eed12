"""The utterances that the suite is measured on: what customers of a shop may write. They are synthetic.

`utterances.tsv` has one a line: split, intent, text. `train.py` made it from `templates.py`; the evaluation split is
made of templates that no candidate was trained on. This module needs numpy and nothing else.
"""

from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

DATA_FILE = Path(__file__).with_name("utterances.tsv")


class Dataset(TypedDict):
    """Named model inputs and the class of each row."""

    inputs: dict[str, npt.NDArray[Any]]
    labels: npt.NDArray[np.int64]


def load() -> Dataset:
    """Return the evaluation split: `text`, unicode [rows, 1], and `labels` int64 [rows]."""
    return _split("evaluation")


def train_split() -> Dataset:
    """Return the split that the candidates were trained on, in the shape of `load`."""
    return _split("training")


def _split(name: str) -> Dataset:
    rows = [line.split("\t", 2) for line in DATA_FILE.read_text(encoding="utf-8").splitlines()]
    intents = sorted({intent for _, intent, _ in rows})
    chosen = [(intent, text) for split, intent, text in rows if split == name]
    texts = np.array([text for _, text in chosen])[:, None]
    return {"inputs": {"text": texts}, "labels": np.array([intents.index(intent) for intent, _ in chosen])}
