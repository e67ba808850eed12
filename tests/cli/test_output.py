"""How a command ends: its exit code follows from the rows."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import msgspec
import pytest
import typer
from rich.console import Console

from harness.cli.output import finish
from harness.pipeline.conclude import conclude

RECORDED = Path(__file__).parents[1] / "recorded" / "scripted"


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    return conclude(Path(shutil.copytree(RECORDED, tmp_path_factory.mktemp("ended") / "run")))


def code(ranked, strict=False, **fields):
    """The exit code where every row with a place gets these fields."""
    rows = tuple(row if row.place is None else msgspec.structs.replace(row, **fields) for row in ranked.ranking.rows)
    changed = ranked._replace(ranking=msgspec.structs.replace(ranked.ranking, rows=rows))
    try:
        finish(Console(file=io.StringIO(), width=120), changed, strict)
    except typer.Exit as ended:
        return ended.exit_code
    return 0


def test_rows_that_are_only_undecided_are_no_failure(ranked):
    assert code(ranked, status="undecided", eligible=False) == 0
    assert code(ranked) == 0


def test_no_row_with_a_place_is_exit_code_3(ranked):
    assert code(ranked, place=None, may_be_best=False, eligible=False) == 3


def test_a_failed_row_counts_only_when_strict(ranked):
    assert code(ranked, strict=True) == 5
