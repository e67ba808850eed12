from __future__ import annotations

from pathlib import Path

import pytest

from harness.analyse.reader import open_run
from harness.pipeline.conclude import conclude, load_ranked
from harness.report.page.page import write_page

from .made import many, reworded

HOSTILE = "<script>alert(1)</script>\"'&<img src=http://x.example/y.png onerror=alert(2)>"


@pytest.fixture(scope="session")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ranked run of twelve rows; the last one is skipped, the one before it crashed."""
    folder = many(tmp_path_factory.mktemp("twelve") / "run", rows=12, trials=4, requests=500)
    conclude(folder)
    return folder


def paged(folder: Path) -> Path:
    """Write the page of a ranked run."""
    reader = open_run(folder)
    return write_page(load_ranked(folder, reader), reader)


@pytest.fixture(scope="session")
def page(twelve: Path) -> Path:
    """The page of that run."""
    return paged(twelve)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run with markup in the names of its rows, in a reason and in a note."""
    folder = many(tmp_path_factory.mktemp("hostile") / "run", 5, 3, 100, name=HOSTILE + "{:02d}")
    conclude(folder)
    reworded(folder, HOSTILE)
    return paged(folder)
