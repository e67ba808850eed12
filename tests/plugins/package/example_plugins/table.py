"""Formats `table` and `grid` (JSON), and conversions: a grid becomes a table, a table a script of the fake runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from harness.convert.base import Order
from harness.runtimes.base import Feed, Tensor, local_path, model_errors
from harness.spec.arrays import Array
from harness.spec.formats import Format
from harness.spec.variant import Variant

TABLE = Format((".table.json",))
GRID = Format((".grid.json",))


class Table:
    """A model that maps class numbers to class numbers, all as they are: `{"classes": n}`."""

    inputs = (Tensor("x", np.dtype("float32"), ("batch", 1)),)

    def __init__(self, variant: Variant) -> None:
        with model_errors("not a table"):
            self.classes = int(json.loads(local_path(variant).read_text())["classes"])

    def predict(self, feed: Feed) -> Array:
        """Return one-hot scores."""
        return np.eye(self.classes, dtype=np.float32)[feed["x"][:, 0].astype(np.int64)]


class Grid(Table):
    """A table whose number of classes is the number of its cells: `{"rows": n, "columns": m}`."""

    def __init__(self, variant: Variant) -> None:
        with model_errors("not a grid"):
            content = json.loads(local_path(variant).read_text())
            self.classes = content["rows"] * content["columns"]


class TableToFake:
    """`accuracy` makes a worse model of it, which parity has to find out."""

    options: Mapping[str, type] = {"latency_ms": float, "accuracy": float}

    def load(self, variant: Variant) -> Table:
        return Table(variant)

    def convert(self, original: Table, order: Order, folder: Path) -> str:
        script = {"classes": original.classes, "clock": '"virtual"', **order.options}
        lines = [f"{key} = {value}" for key, value in script.items()]
        (folder / "model.fake.toml").write_text("\n".join(lines))
        return "model.fake.toml"


class GridToTable:
    """`pad` adds classes that are never right."""

    options: Mapping[str, type] = {"pad": int}

    def load(self, variant: Variant) -> Grid:
        return Grid(variant)

    def convert(self, original: Grid, order: Order, folder: Path) -> str:
        content = {"classes": original.classes + int(order.options.get("pad") or 0)}
        (folder / "model.table.json").write_text(json.dumps(content))
        return "model.table.json"
