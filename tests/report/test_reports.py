"""The report and the table of the recorded run: what must be in them, whatever they look like."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from harness.errors import SpecError
from harness.evidence.files import write_json
from harness.evidence.run import Prepared, PreparedCell
from harness.pipeline.conclude import conclude, load_ranked
from harness.report.commands import notes_with_command
from harness.report.markdown import decision, grid, report
from harness.report.show import find_row
from harness.report.table import ranked_table
from harness.score.records import Ranking
from harness.score.words import name_of
from harness.spec.diagnostics import diagnostic
from harness.spec.policy import Objective, Policy
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
    assert (by_name["quick"]["#"], by_name["quick"]["could be"]) == ("1 ●", "1 `▕█·▏`")
    assert (by_name["slow"]["#"], by_name["slow"]["could be"]) == ("2", "2 `▕·█▏`")
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
    for words in ("0.36 USD/h at 50 % utilisation", "made up", "seed 5", "ended by SIGSEGV", "no such device"):
        assert words in text
    assert "damaged: 300 bytes" in text
    assert "not steady in 1 of 3 trials" in text


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
    rows = tuple(
        msgspec.structs.replace(row, place=None, may_be_best=False, eligible=False) for row in ranked.ranking.rows
    )
    text = report(with_rows(ranked, *rows))
    assert "**No row is eligible.**" in text.split("## Ranking")[0]


def best(row, **fields):
    return msgspec.structs.replace(row, may_be_best=True, **fields)


def test_what_cannot_be_told_apart_is_not_called_a_winner(ranked):
    quick, slow, *rest = ranked.ranking.rows
    said = decision(with_rows(ranked, best(quick), best(slow), *rest).ranking)
    assert said == (
        "**`quick` on `box` may be the best, or `slow` on `box`.** The evidence does not tell these 2 rows apart. "
        "P(best) of the first: >99 %."
    )
    said = decision(with_rows(ranked, best(quick), best(slow), best(slow, candidate="third"), *rest).ranking)
    assert said.startswith("**`quick` on `box` may be the best; so may `slow` on `box` and `third` on `box`.**")


def test_a_single_best_row_should_serve_unless_it_is_undecided(ranked):
    quick, slow, *rest = ranked.ranking.rows
    behind = msgspec.structs.replace(slow, may_be_best=False)
    assert decision(with_rows(ranked, best(quick, p_best=0.97), behind, *rest).ranking) == (
        "**`quick` on `box` should serve: P(best) = 97 %.**"
    )
    said = decision(with_rows(ranked, best(quick, status="undecided"), behind, *rest).ranking)
    assert said == "**`quick` on `box` may serve, but it is undecided.** See its reasons."


@pytest.fixture(scope="module")
def undecided(tmp_path_factory):
    """The recorded run by its p99, which 120 and 80 requests leave open."""
    folder = Path(shutil.copytree(RECORDED, tmp_path_factory.mktemp("undecided") / "run"))
    return conclude(folder, Policy(objectives={"latency_p99_ms": Objective(weight=1, target=0.5, limit=5)}))


def test_an_undecided_row_names_the_command_that_settles_it(undecided):
    """The suite's budget is 10 min; a block takes seconds."""
    text = report(undecided)
    command = f"harness run --resume {undecided.folder.name} --budget 11m"
    assert re.search(rf"^- p99 \(so far 3.47 ms\) needs about \d+ more requests, \d+ s: {command}$", text, re.M)
    note = rf"^- 2 of 2 rows are undecided; about \d+ more blocks, \d+ s, should settle them: {command}$"
    assert re.search(note, text, re.M)
    assert not any("harness run --resume" in x.message for row in undecided.ranking.rows for x in row.reasons)


@pytest.mark.parametrize(("minutes", "budget", "option"), [(0.5, 45, "75s"), (0.5, 90, "2m"), (4, 300, "9m")])
def test_the_budget_to_type_is_what_there_was_and_what_is_needed(ranked, minutes, budget, option):
    note = diagnostic("rows_undecided", "1 row is undecided", minutes=minutes)
    ranking = msgspec.structs.replace(ranked.ranking, notes=(note,))
    (said,) = notes_with_command(ranking, "latest", budget).notes
    assert said.message == f"1 row is undecided: harness run --resume latest --budget {option}"
    unknown = msgspec.structs.replace(note, data={})
    assert notes_with_command(msgspec.structs.replace(ranking, notes=(unknown,)), "latest", 5).notes == (unknown,)


def test_seconds_are_listed_by_purpose_and_preparation_apart(ranked):
    seconds = {"prepare": 21.0, "sampling": 60.0, "warm_up": 15.0, "parent": 25.0, "exit": 0.0}
    section = report(ranked, seconds).split("## How the time was spent")[1].split("##")[0].strip()
    assert section.splitlines() == [
        "Preparation took 21 s; it is not part of the budget. Measuring took 2 min:",
        "",
        "- 60 s (60 %): measuring requests",
        "- 25 s (25 %): the harness itself",
        "- 15 s (15 %): warming up",
    ]
    assert "How the time was spent" not in report(ranked, {})
    assert "How the time was spent" not in report(ranked, {"prepare": 3.0})


def test_controls_have_a_section_of_their_own(ranked):
    notes = (diagnostic("ended", "the end"), diagnostic("control_passed", "a twin was not told apart"))
    text = report(ranked._replace(ranking=msgspec.structs.replace(ranked.ranking, notes=notes)))
    assert text.split("## Controls")[1].split("##")[0].strip() == "- a twin was not told apart"
    assert text.split("## Notes")[1].split("##")[0].strip() == "- the end"
    assert "## Controls" not in report(ranked)


def test_what_disturbed_slices_change_is_named_by_row(ranked):
    quick, slow, *rest = ranked.ranking.rows
    quick = msgspec.structs.replace(quick, reasons=(diagnostic("disturbed", "p99 is 2 ms, without them 1 ms"),))
    slow = msgspec.structs.replace(slow, reasons=(diagnostic("undisturbed", "p99 is 3 ms, without them 3 ms"),))
    noise = report(with_rows(ranked, quick, slow, *rest)).split("## Host noise")[1].split("##")[0]
    assert "These results change without the disturbed slices:" in noise
    assert "- `quick@box`: p99 is 2 ms, without them 1 ms" in noise
    assert "- 1 row: results with and without disturbed slices agree" in noise
    assert "`slow@box`" not in noise
    assert "## Host noise" not in report(ranked)


def printed(ranking, policy, width):
    out = io.StringIO()
    Console(file=out, width=width).print(ranked_table(ranking, policy, "title", width))
    return out.getvalue()


def test_a_narrow_terminal_keeps_place_ranks_status_and_the_first_metric(ranked, undecided):
    text = printed(undecided.ranking, undecided.policy, 80)
    assert max(map(len, text.splitlines())) <= 80
    for words in ("1 ●", "▕█░▏", "undecided", "failed: crash", "skipped", "[≈1.16]", "n, score"):
        assert words in text
    assert "not shown" not in printed(ranked.ranking, ranked.policy, 200)


@pytest.mark.parametrize("width", [60, 130])
def test_rows_without_results_are_named_below_with_their_reason_at_any_width(ranked, width):
    *rest, absent = ranked.ranking.rows
    alike = msgspec.structs.replace(absent, candidate="absent-too")
    text = printed(with_rows(ranked, *rest, absent, alike).ranking, ranked.policy, width)
    words = " ".join(text.split())
    assert f"skipped absent, absent-too on {absent.target} {absent.reasons[0].message}" in words
    assert words.count(absent.reasons[0].message) == 1
    assert all(row.reasons[0].message.splitlines()[0] in words for row in rest if row.status == "failed")


def test_a_run_in_which_nothing_worked_says_why(ranked):
    failed = ranked.ranking.rows[2:]
    text = printed(with_rows(ranked, *failed).ranking, ranked.policy, 100)
    assert "title" in text and "could be" not in text
    assert all(row.candidate in text for row in failed)


def test_long_names_are_folded_not_cut(ranked):
    name = "a-sentence-encoder-with-a-very-long-descriptive-name-and-version-2.13.0"
    rows = (msgspec.structs.replace(ranked.ranking.rows[0], candidate=name), *ranked.ranking.rows[1:])
    for width in (80, 160):
        lines = printed(with_rows(ranked, *rows).ranking, ranked.policy, width).splitlines()
        assert max(map(len, lines)) <= width
        first = next(i for i, line in enumerate(lines) if "1 ●" in line)
        start = lines[first].index("a-sentence")
        column = "".join(line[start:].split(" ")[0] for line in lines[first : first + 4])
        assert name in column


def test_the_rows_that_may_be_best_are_shaded_as_one_set(ranked):
    quick, slow, *rest = ranked.ranking.rows
    out = io.StringIO()
    ranking = with_rows(ranked, best(quick), best(slow), *rest).ranking
    Console(file=out, width=160, force_terminal=True, color_system="truecolor").print(
        ranked_table(ranking, ranked.policy, "", 160)
    )
    shaded = [line for line in out.getvalue().splitlines() if "48;2;" in line or "48;5;" in line]
    assert [name for name in ("quick", "slow", "broken", "absent") if any(name in line for line in shaded)] == [
        "quick",
        "slow",
    ]


def test_the_terminal_table_has_every_row_and_takes_no_markup_from_names(ranked):
    odd = msgspec.structs.replace(ranked.ranking.rows[2], reasons=(diagnostic("failed", "[red]not markup[/red]"),))
    ranking = msgspec.structs.replace(ranked.ranking, rows=(*ranked.ranking.rows[:2], odd, ranked.ranking.rows[3]))
    text = printed(ranking, ranked.policy, 300)
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
        options={"method": "static", "per_channel": True, "percentile": 99.9},
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
        "- `a@box`: onnx in int8, by pt2-to-onnx, onnx.fp32-to-onnx.int8; method = static, per_channel = true, "
        "percentile = 99.9; 12,345 bytes; SHA-256 `abcdef0123456789…`; "
        "differs from its original by at most 0.012, the same top-1 class in 98.70 % (256 rows)",
        "- `b@box`: as given; SHA-256 `1234…`",
    ]


def test_every_host_is_listed_with_its_trials(ranked):
    text = report(ranked._replace(hosts=(({"cpu": "one"}, 6), ({"cpu": "two"}, 2))))
    measured = text.split("## Measured on")[1]
    assert "Trials on this host: 6\n\n- cpu: one" in measured
    assert "Trials on this host: 2\n\n- cpu: two" in measured


def test_a_row_is_found_by_place_by_name_and_by_part_of_a_name(ranked):
    _, slow, broken, _ = ranked.ranking.rows
    assert [find_row(ranked.ranking, place).candidate for place in "12"] == ["quick", "slow"]
    assert find_row(ranked.ranking, "brok") is broken
    assert find_row(ranked.ranking, name_of(slow)) is slow


@pytest.mark.parametrize(
    ("name", "mend"), [("3", "from 1 to 2"), ("0", "from 1 to 2"), ("quik@box", "did you mean 'quick@box'"), ("@", "4")]
)
def test_a_row_that_is_not_there_or_not_one_is_an_error(ranked, name, mend):
    with pytest.raises(SpecError, match=mend):
        find_row(ranked.ranking, name)
