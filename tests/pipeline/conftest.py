from __future__ import annotations

from pathlib import Path

import pytest

from .scripted import Suites


@pytest.fixture
def suite(tmp_path: Path) -> Suites:
    """Write a suite of fakes (name → median latency in ms, or a whole script) and make its run folder."""
    return Suites(tmp_path)
