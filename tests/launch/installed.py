"""Runtimes of a third party that only children can import: a module and a dist-info folder on PYTHONPATH."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def install(folder: Path, patch: pytest.MonkeyPatch, name: str, source: str, made: str = "MadeRuntime") -> None:
    """Install a runtime called `name`, whose module is `source` and whose class there is `made`."""
    info = folder / "site" / f"{name}_runtime-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-runtime\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[harness.runtimes]\n{name} = {name}_runtime:{made}\n")
    (info.parent / f"{name}_runtime.py").write_text(source)
    paths = (str(info.parent), os.environ.get("PYTHONPATH", ""))
    patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
