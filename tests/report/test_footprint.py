"""The view of a ranking by memory."""

from __future__ import annotations

from rich.console import Console

from harness.report.footprint import by_memory, footprint_cells, footprint_table
from harness.score.records import Ranking

from .test_cells import measure, row

MEMORY = "memory_peak_mib"
RANKING = Ranking(
    suite="s",
    rows=(
        row(candidate="large", place=1, metrics={MEMORY: measure(90.0, 88.0, 92.0), "latency_p99_ms": measure()}),
        row(candidate="broken", status="failed", failure="oom", eligible=False),
        row(candidate="small", place=2, metrics={MEMORY: measure(30.0, 29.0, 31.0), "artefact_mib": measure(0.5)}),
    ),
    notes=(),
)


def test_rows_are_ordered_by_memory_and_those_without_any_come_last():
    assert [each.candidate for each in by_memory(RANKING.rows)] == ["small", "large", "broken"]


def test_only_metrics_that_some_row_has_get_a_column_and_places_are_kept():
    heads, rows = footprint_cells(RANKING)
    assert heads == ["#", "candidate", "target", "peak memory\nMiB", "artefact size\nMiB", "p99\nms", "status"]
    assert [(texts[0], texts[3]) for texts in rows] == [("2", "30 [29, 31]"), ("1", "90 [88, 92]"), ("–", "–")]
    assert rows[2][-1] == "failed: oom"


def test_the_table_shows_every_row():
    console = Console(width=120)
    with console.capture() as shown:
        console.print(footprint_table(RANKING, "by memory"))
    text = shown.get()
    assert all(name in text for name in ("small", "large", "broken", "by memory"))
