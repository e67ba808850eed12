"""The report and the table of the recorded run: what must be in them, whatever they look like."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from harness.pipeline import conclude
from harness.report.markdown import grid, report
from harness.report.show import load_ranked
from harness.report.table import ranked_table
from harness.score.records import Ranking

RECORDED = Path(__file__).parents[1] / "evidence" / "run"


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    return conclude(Path(shutil.copytree(RECORDED, folder)))


def table_of(text, heading):
    """The rows of the first Markdown table after a heading, as lists of cells."""
    lines = text.split(heading, 1)[1].strip().splitlines()
    rows = [line for line in lines[: lines.index("")] if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_a_grid_is_one_line_a_row_whatever_is_in_its_cells():
    assert grid(["a|b", "c"], [["x\ny", "1 | 2"]]) == "| a\\|b | c |\n| --- | --- |\n| x y | 1 \\| 2 |"


def test_the_report_has_every_row_and_its_fate(ranked):
    text = (ranked.folder / "report.md").read_text(encoding="utf-8")
    head, _, *rows = table_of(text, "## Ranking")
    assert head[1:3] == ["candidate", "target"]
    assert {len(row) for row in rows} == {len(head)}
    by_name = {row[1]: dict(zip(head, row, strict=True)) for row in rows}
    assert list(by_name) == ["quick", "slow", "broken", "absent"]
    assert by_name["broken"]["status"] == "failed: crash"
    assert by_name["absent"]["status"] == "skipped"
    assert by_name["quick"]["#"] == "1"
    for name in ("broken", "absent"):
        kept = {key: cell for key, cell in by_name[name].items() if key not in ("candidate", "target", "status")}
        assert set(kept.values()) == {"–"}, "what is missing is a dash, never a number"


def test_a_tail_that_forty_samples_cannot_bound_is_printed_as_more_than(ranked):
    text = (ranked.folder / "report.md").read_text(encoding="utf-8")
    head, _, quick, *_ = table_of(text, "## Ranking")
    cells = dict(zip(head, quick, strict=True))
    assert cells["p99 ms"].startswith(">")
    assert "[" in cells["p90 ms"]


def test_the_report_names_the_winner_and_says_where_numbers_are_from(ranked):
    text = (ranked.folder / "report.md").read_text(encoding="utf-8")
    assert "`quick` on `box`" in text.split("## Ranking")[0]
    for words in ("0.36 USD/h at 50% utilisation", "made up", "seed 5", "ended by SIGSEGV", "no such device"):
        assert words in text
    assert "damaged: 300 bytes" in text
    assert "steal in 1 of 3 trials" in text


def test_reasons_of_several_lines_stay_in_their_bullet(ranked):
    rows = tuple(
        msgspec.structs.replace(row, reasons=("a\n# b\n\nc",)) if row.candidate == "broken" else row
        for row in ranked.ranking.rows
    )
    text = report(ranked.record, msgspec.structs.replace(ranked.ranking, rows=rows), ranked.policy)
    assert "- a # b c\n" in text


def test_nobody_eligible_is_said_first(ranked):
    rows = tuple(msgspec.structs.replace(row, rank=None, eligible=False) for row in ranked.ranking.rows)
    text = report(ranked.record, msgspec.structs.replace(ranked.ranking, rows=rows), ranked.policy)
    assert "**No row is eligible.**" in text.split("## Ranking")[0]


def test_what_cannot_be_told_apart_is_not_called_a_winner(ranked):
    quick, slow, *rest = ranked.ranking.rows
    slow = msgspec.structs.replace(slow, rank=1, tie=True)
    quick = msgspec.structs.replace(quick, tie=True)
    text = report(ranked.record, Ranking(suite="s", rows=(quick, slow, *rest)), ranked.policy)
    decision = text.split("## Ranking")[0]
    assert "cannot be told apart" in decision
    assert "`quick` on `box`, `slow` on `box`" in decision
    assert "should serve" not in decision


def test_the_terminal_table_has_every_row_and_takes_no_markup_from_names(ranked):
    odd = msgspec.structs.replace(ranked.ranking.rows[2], reasons=("[red]not markup[/red]",))
    ranking = msgspec.structs.replace(ranked.ranking, rows=(*ranked.ranking.rows[:2], odd, ranked.ranking.rows[3]))
    out = io.StringIO()
    Console(file=out, width=300).print(ranked_table(ranking, ranked.policy, "title"))
    text = out.getvalue()
    for words in ("quick", "slow", "broken", "absent", "[red]not markup[/red]", "failed: crash"):
        assert words in text


def test_what_was_written_is_what_is_shown_again(ranked):
    again = load_ranked(ranked.folder)
    assert msgspec.json.encode(again.ranking) == msgspec.json.encode(ranked.ranking)
    assert again.policy == ranked.policy
