"""Every test has the machine to itself: a lock file of its own, and a cache that no other session sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


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
