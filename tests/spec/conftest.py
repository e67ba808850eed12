"""Suites and targets as dicts, written to files as TOML, so that a test names only what it changes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SpecError
from harness.spec.find import load_suite

SUITE: dict[str, Any] = {
    "description": "a suite with every kind of table",
    "targets": ["cpu-onnx"],
    "reference": "a",
    "dataset": {"synthetic": {"rows": 8, "dims": {"tokens": 4}}},
    "candidate": [{"name": "a", "path": "a.onnx"}, {"name": "b", "path": "b.fake.toml", "format": "fake"}],
    "scenario": [
        {"name": "interactive", "kind": "single_stream", "seconds": 0.5},
        {"name": "offline", "kind": "offline", "seconds": 0.3, "batch_sizes": [1, 8]},
    ],
    "budget": {"seconds": 60, "trials": 3, "max_trials": 9, "race": "front"},
    "parity": {"fp32": {"max_abs_diff": 1e-3, "top1_agreement": 0.99}},
    "policy": {
        "missing": "ignore",
        "confidence": 0.95,
        "limits": {"accuracy": {"min": 0.9}, "offline.throughput_per_s": {"min": 100}},
        "objectives": {"latency_p99_ms": {"weight": 1, "target": 0.5, "limit": 5, "scale": "log"}},
    },
}


def written(value: object) -> str:
    """A value as TOML on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {written(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return repr(value) if isinstance(value, float) else json.dumps(value)


def as_toml(tables: Mapping[str, object]) -> str:
    return "".join(f"{json.dumps(key)} = {written(value)}\n" for key, value in tables.items())


class Suites:
    """Writes suites into a folder that has the files they name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("a.onnx", "b.fake.toml", "c.npz"):
            (folder / name).touch()

    def tables(self, change: Callable[[dict[str, Any]], object] = lambda suite: None) -> dict[str, Any]:
        """A valid suite, changed in place by `change`."""
        suite = copy.deepcopy(SUITE)
        change(suite)
        return suite

    def write(self, tables: Mapping[str, object], name: str = "mine.toml") -> Path:
        path = self.folder / name
        path.write_text(as_toml(tables), encoding="utf-8")
        return path

    def refusal(self, change: Callable[[dict[str, Any]], object]) -> str:
        """The one message for a changed suite, less the file it begins with."""
        path = self.write(self.tables(change))
        with pytest.raises(SpecError) as caught:
            load_suite(str(path))
        message = str(caught.value)
        assert message.startswith(f"{path}: "), message
        assert "\n" not in message
        return message.removeprefix(f"{path}: ")


@pytest.fixture
def suites(tmp_path: Path) -> Suites:
    return Suites(tmp_path)
