from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from harness.spec.target import Target


@pytest.fixture(scope="session")
def models() -> ModuleType:
    """`tests/models.py`."""
    spec = importlib.util.spec_from_file_location("harness_test_models", Path(__file__).parents[1] / "models.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
