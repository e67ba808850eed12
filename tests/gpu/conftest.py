"""Tests of this folder need a CUDA GPU; without one they are skipped, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest


def _lacking() -> str | None:
    try:
        import torch
    except ImportError:
        return "torch is not installed"
    if torch.version.cuda is None:
        return "this torch is built without CUDA"
    return None if torch.cuda.is_available() else "there is no CUDA device here"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    own = [item for item in items if Path(item.fspath).parent == Path(__file__).parent]
    reason = _lacking() if own else None
    for item in own:
        item.add_marker(pytest.mark.gpu)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))
