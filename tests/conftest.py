"""Every test has the machine to itself: a lock file of its own, and a cache that no other session sees."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from harness.spec.target import Target


@pytest.fixture(scope="session", autouse=True)
def _no_power_cut() -> Iterator[None]:
    """Let this process not wait for the disk, 4 ms a file: no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep converted artefacts, and locks of fixtures wider than a test, inside this session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HARNESS_LOCK", str(tmp_path_factory.mktemp("lock") / "session.lock"))
        yield


@pytest.fixture(autouse=True)
def _own_lock(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test its own lock file, so that tests run beside each other and beside real runs."""
    path = tmp_path_factory.mktemp("lock") / "harness.lock"
    monkeypatch.setenv("HARNESS_LOCK", str(path))
    return path


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"harness_test_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def models() -> ModuleType:
    """`tests/models.py`."""
    return _beside("models")


@pytest.fixture(scope="session")
def tflite() -> ModuleType:
    """`tests/tflite.py`."""
    pytest.importorskip("ai_edge_litert")
    return _beside("tflite")


@pytest.fixture
def torch_beside(models: ModuleType, tmp_path: Path) -> str:
    """A folder with a module of torch builders; returns the module's name, which no other test has."""
    name = f"made_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(models.TORCH_MODULES)
    return name


@pytest.fixture
def onnx_target() -> Target:
    return Target(name="t", description="d", runtime="onnxruntime", options={"intra_op_threads": 1})


@pytest.fixture
def torch_target() -> Target:
    return Target(name="t", description="d", runtime="torch")
