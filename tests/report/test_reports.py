"""The report and the table of the recorded run: what must be in them, whatever they look like."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from harness.errors import SpecError
from harness.evidence.files import write_json
from harness.evidence.run import Prepared, PreparedCell
from harness.pipeline.conclude import conclude, load_ranked
from harness.report.markdown import grid, report
from harness.report.show import find_row
from harness.report.table import ranked_table
from harness.score.records import Ranking
from harness.score.words import name_of
from harness.spec.diagnostics import diagnostic
from harness.spec.variant import ParityReport, Variant

RECORDED = Path(__file__).parents[1] / "recorded" / "scripted"


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    return conclude(Path(shutil.copytree(RECORDED, folder)))


def with_rows(ranked, *rows):
    """The ranked run with other rows."""
    return ranked._replace(ranking=Ranking(suite="s", rows=rows, notes=ranked.ranking.notes))


def table_of(text, heading):
    """The rows of the first Markdown table after a heading, as lists of cells."""
    lines = text.split(heading, 1)[1].strip().splitlines()
    rows = [line for line in lines[: lines.index("")] if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_a_grid_is_one_line_a_row_whatever_is_in_its_cells():
    assert grid(["a|b", "c"], [["x\ny", "1 | 2"]]) == "| a\\|b | c |\n| --- | --- |\n| x y | 1 \\| 2 |"


def test_the_report_has_every_row_and_its_fate(ranked):
    text = report(ranked)
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
    text = report(ranked)
    head, _, quick, *_ = table_of(text, "## Ranking")
    cells = dict(zip(head, quick, strict=True))
    assert cells["p99 ms"].startswith(">")
    assert "[" in cells["p90 ms"]


def test_the_report_names_the_winner_and_says_where_numbers_are_from(ranked):
    text = report(ranked)
    assert "`quick` on `box`" in text.split("## Ranking")[0]
    for words in ("0.36 USD/h at 50% utilisation", "made up", "seed 5", "ended by SIGSEGV", "no such device"):
        assert words in text
    assert "damaged: 300 bytes" in text
    assert "steal in 1 of 3 trials" in text


def test_reasons_of_several_lines_stay_in_their_bullet(ranked):
    said = (diagnostic("failed", "a\n# b\n\nc"),)
    text = report(
        with_rows(
            ranked,
            *(
                msgspec.structs.replace(row, reasons=said) if row.candidate == "broken" else row
                for row in ranked.ranking.rows
            ),
        )
    )
    assert "- a # b c\n" in text


def test_nobody_eligible_is_said_first(ranked):
    rows = tuple(msgspec.structs.replace(row, rank=None, eligible=False) for row in ranked.ranking.rows)
    text = report(with_rows(ranked, *rows))
    assert "**No row is eligible.**" in text.split("## Ranking")[0]


def test_what_cannot_be_told_apart_is_not_called_a_winner(ranked):
    quick, slow, *rest = ranked.ranking.rows
    slow = msgspec.structs.replace(slow, rank=1, tie=True)
    quick = msgspec.structs.replace(quick, tie=True)
    text = report(with_rows(ranked, quick, slow, *rest))
    decision = text.split("## Ranking")[0]
    assert "are not significantly different" in decision
    assert "`quick` on `box`, `slow` on `box`" in decision
    assert "should serve" not in decision


def test_the_terminal_table_has_every_row_and_takes_no_markup_from_names(ranked):
    odd = msgspec.structs.replace(ranked.ranking.rows[2], reasons=(diagnostic("failed", "[red]not markup[/red]"),))
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


def test_every_cell_says_which_variant_ran(ranked, tmp_path):
    variant = Variant(
        format="onnx",
        precision="int8",
        digest="abcdef0123456789ff",
        bytes=12_345,
        steps=("pt2-to-onnx", "onnx.fp32-to-onnx.int8"),
        parity=ParityReport(rows=256, max_abs_diff=0.0123, top1_agreement=0.987),
    )
    cells = {
        "a@box": PreparedCell(status="ok", variant=variant),
        "b@box": PreparedCell(status="ok", variant=Variant(format="onnx", digest="1234")),
        "c@box": PreparedCell(status="skipped", why="no runtime"),
    }
    write_json(tmp_path / "prepare.json", Prepared(cells=cells))
    said = report(ranked._replace(folder=tmp_path)).split("## Variants")[1].split("##")[0].strip().splitlines()
    assert said == [
        "- `a@box`: onnx in int8, by pt2-to-onnx, onnx.fp32-to-onnx.int8; 12,345 bytes; SHA-256 `abcdef0123456789…`; "
        "differs from its original by at most 0.012, the same top-1 class in 98.70% (256 rows)",
        "- `b@box`: as given; SHA-256 `1234…`",
    ]


def test_every_host_is_listed_with_its_trials(ranked):
    text = report(ranked._replace(hosts=(({"cpu": "one"}, 6), ({"cpu": "two"}, 2))))
    measured = text.split("## Measured on")[1]
    assert "Trials on this host: 6\n\n- cpu: one" in measured
    assert "Trials on this host: 2\n\n- cpu: two" in measured


def test_a_row_is_found_by_place_by_name_and_by_part_of_a_name(ranked):
    quick, slow, broken, _ = ranked.ranking.rows
    tied = Ranking(suite="s", rows=tuple(msgspec.structs.replace(row, rank=1) for row in (quick, slow)))
    for ranking in (ranked.ranking, tied):
        assert [find_row(ranking, place).candidate for place in "12"] == ["quick", "slow"]
    assert find_row(ranked.ranking, "brok") is broken
    assert find_row(ranked.ranking, name_of(slow)) is slow


@pytest.mark.parametrize(
    ("name", "mend"), [("3", "from 1 to 2"), ("0", "from 1 to 2"), ("quik@box", "did you mean 'quick@box'"), ("@", "4")]
)
def test_a_row_that_is_not_there_or_not_one_is_an_error(ranked, name, mend):
    with pytest.raises(SpecError, match=mend):
        find_row(ranked.ranking, name)
