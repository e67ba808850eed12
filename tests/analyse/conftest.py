from __future__ import annotations

import shutil
from pathlib import Path

import pytest

RECORDED = Path(__file__).parents[1] / "recorded" / "scripted"


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A copy of the recorded run, to do harm to."""
    return Path(shutil.copytree(RECORDED, tmp_path / "recorded"))
