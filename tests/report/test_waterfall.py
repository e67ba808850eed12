"""A row's cold start as text."""

from __future__ import annotations

from harness.analyse.waterfall import waterfall
from harness.report.waterfall import starts_cells, waterfall_lines
from harness.score.records import Ranking
from harness.spec.metrics import START_PHASES
from harness.spec.target import Lifecycle

from .test_cells import measure, row

P50 = {"interpreter": 20.0, "imports": 100.0, "load": 10.0, "first": 5.0, "second": 1.0, "init": 131.0, "total": 135.0}
METRICS = {
    f"cold_{phase}_{short}_ms": measure(value * factor, value * factor * 0.9, value * factor * 1.1)
    for phase, value in P50.items()
    for short, factor in (("p50", 1.0), ("p90", 1.2), ("p99", 2.0))
}


def test_every_phase_has_a_line_with_its_numbers_and_a_bar_where_it_begins():
    head, *lines = waterfall_lines(waterfall(METRICS), 110)
    assert head.split() == ["phase", "p50", "ms", "p90", "ms", "p99", "ms"]
    assert [line.split()[0] for line in lines] == ["interpreter", "imports", "load", "first", "second", "total"]
    assert "100 [90, 110]" in lines[1]
    begins = [line.index("█") for line in lines]
    assert begins[:4] == sorted(begins[:4])
    assert begins[-1] == begins[0], "the total begins where the first phase does"
    assert len({len(line) for line in lines}) == 1
    assert all(len(line) <= 110 for line in lines)


def test_a_narrow_terminal_has_a_narrow_picture():
    lines = waterfall_lines(waterfall(METRICS), 60)
    assert all("▕" in line for line in lines[1:])
    assert max(map(len, lines)) < 80


def test_an_added_time_has_no_percentiles():
    life = Lifecycle(elsewhere_ms=125.0, elsewhere_source="someone")
    line = waterfall_lines(waterfall(METRICS, life))[1]
    assert line.split()[:4] == ["elsewhere", "125", "–", "–"]


def test_rows_without_cold_starts_have_no_picture_and_no_line():
    assert waterfall_lines(waterfall({"latency_p50_ms": measure()})) == []
    rows = (row(candidate="cold", metrics=METRICS), row(candidate="hot", metrics={}))
    heads, found = starts_cells(Ranking(suite="s", rows=rows))
    assert [texts[0] for texts in found] == ["cold"]
    assert len(heads) == len(found[0])
    assert "cold total p99 ms" in heads


def test_every_phase_of_the_catalogue_is_drawn_or_is_a_sum():
    drawn = {bar.name for bar in waterfall(METRICS | {k.replace("load", "lost"): m for k, m in METRICS.items()})}
    assert set(START_PHASES) - drawn == {"init"}
