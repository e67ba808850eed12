"""What plots are made of: axes with ticks, the front of two metrics, and SVG that fits a page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analyse.distribution import band, curve
from harness.analyse.loads import LoadPoint
from harness.analyse.timeline import Phase, Timeline
from harness.report.plots import bars
from harness.report.plots.latency import distributions
from harness.report.plots.load import load_curves
from harness.report.plots.memory import memory
from harness.report.plots.pareto import Axis, Point, front, pareto
from harness.report.plots.style import Line, scale, tick_text
from harness.report.plots.weights import lines_of_scores, triangle
from harness.score.regions import regions

LINES = (Line(0, "a@x", 0), Line(1, "b<script>@x", 1), Line(2, "c@x"))
values = st.floats(1e-6, 1e9)


@given(st.lists(values, min_size=1, max_size=20), st.booleans())
def test_an_axis_holds_its_values_in_their_order_and_has_ticks(found, log):
    axis = scale(found, log)
    places = [axis.at(value) for value in sorted(found)]
    assert places == sorted(places)
    assert places[0] >= 0 and places[-1] <= 1
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)
    assert 1 <= len(axis.ticks) <= 12
    assert list(axis.ticks) == sorted(set(axis.ticks))


def test_ticks_are_round_numbers():
    assert scale([0.013, 8.0], log=True, margin=0).ticks == (0.03, 0.1, 0.3, 1.0, 3.0)
    assert scale([0.0, 10.0], log=False, margin=0).ticks == (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
    assert scale([3.0], log=True).log is False, "one value needs no logarithm"


@given(st.floats(0.5, 0.99), st.floats(0.001, 0.5))
def test_ticks_are_written_with_all_of_their_digits(low, span):
    assert all(float(tick_text(tick)) == tick for tick in scale([low, low + span], log=False).ticks)


def test_a_tick_is_not_rounded_to_a_place_where_it_is_not():
    spans = {0: bars.Span(0.995, 0.9905, 0.9995)}
    assert ">0.9925<" in bars.intervals(LINES, spans, "agreement", False, None, "t", "d").replace("\n", "")


def test_a_mark_is_hollow_where_an_end_of_its_interval_is_not_known():
    x, y = axis("lower", 1, 2), axis("lower", 2, 1)
    told = y._replace(points={0: Point(2, 1.8, None), 1: Point(1, 0.9, 1.1)})
    text = pareto(x, told, LINES, "t", "d")
    first, second = ([part for part in text.split("<g data-row=")[1:] if part.startswith(f'"{row}"')] for row in (0, 1))
    assert "fill: var(--surface)" in first[-1] and "fill: var(--surface)" not in second[-1]
    assert (len(first), len(second)) == (2, 3), "an interval with an open end is not drawn"


def axis(better: str, *found: float) -> Axis:
    points = {row: Point(value, value * 0.9, value * 1.1) for row, value in enumerate(found)}
    return Axis("k", "metric", scale(found, log=True), better, points)


@given(st.lists(st.tuples(values, values), min_size=1, max_size=12))
def test_the_front_is_what_no_other_row_beats(pairs):
    x, y = (axis("lower", *column) for column in zip(*pairs, strict=True))
    best = front(x, y)
    for a, b in pairs:
        beaten = any((c <= a and d <= b) and (c, d) != (a, b) for c, d in pairs)
        twin = any(pairs[other] == (a, b) for other in best)
        assert twin is not beaten
    assert all(row in range(len(pairs)) for row in best)


def test_more_is_better_turns_the_front_around():
    x, y = axis("lower", 1, 2, 3), axis("higher", 10, 20, 15)
    assert front(x, y) == [0, 1]


def drawings() -> dict[str, str]:
    rng = np.random.default_rng(1)
    requests = [[(rng.lognormal(0, 0.3, 3000) * 1e6).astype(np.int64) for _ in range(3)] for _ in LINES]
    curves = {row: curve(each) for row, each in enumerate(requests)}
    bands = {row: band(each) for row, each in enumerate(requests)}
    spans = {0: bars.Span(1.0, 0.5, 2.0), 1: bars.Span(2.0, None, None), 2: bars.Span(3.0, 2.0, 5.0)}
    steps = {row: {"one": bars.Span(1, 0.5, 1.5), "two": bars.Span(2, None, None)} for row in range(3)}
    times = Timeline(np.array([0.0, 1.0]), np.array([10.0, 20.0]), (Phase("start", 0, 0.5),), 25.0)
    loads = [LoadPoint(10.0, 1.0, 2.0, 1.5, 4.0, 100, 3), LoadPoint(100.0, 2.0, 9.0, -np.inf, np.inf, 50, 1)]
    utilities = np.array([[1.0, 0.0, 0.4], [0.0, 1.0, 0.3], [0.2, 0.3, 1.0]])
    keys, own = ["p99", "accuracy", "cost"], np.array([0.2, 0.3, 0.5])
    return {
        "pareto": pareto(axis("lower", 1, 2, 3), axis("higher", 3, 2, 1), LINES, "t & t", "d"),
        "latency": distributions(LINES, curves, bands, "t", "d"),
        "intervals": bars.intervals(LINES, spans, "accuracy", True, 1.5, "t", "d"),
        "steps": bars.steps(LINES, steps, "ms", "t", "d"),
        "fractions": bars.fractions(LINES, {0: 0.5, 1: 0.004}, "share", "t", "d"),
        "load": load_curves(LINES, {0: loads, 1: loads[:1]}, 5.0, "t", "d"),
        "memory": memory(times, LINES[1], 25.0, "t", "d"),
        "lines": lines_of_scores(LINES, utilities[:, :2], keys[:2], 0.4, "t", "d"),
        "triangle": triangle(LINES, regions(utilities, np.zeros(3)), keys, own, "t", "d"),
    }


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    return drawings()


def test_a_drawing_says_what_it_shows(drawn):
    for name, text in drawn.items():
        root = ElementTree.fromstring(text.replace("xlink:href", "href"))
        assert root.attrib["role"] == "img" and root.attrib["aria-label"], name
        assert root[0].tag == "title" and root[1].tag == "desc", name
        assert "<script" not in text, name


def test_a_drawing_has_the_pages_colours_and_font_only(drawn):
    for name, text in drawn.items():
        assert not re.findall(r"#[0-9a-f]{6}\b(?=[;\"])", text), name
        assert "DejaVu" not in text and "var(--ink)" in text, name


def test_rows_are_marked_and_named(drawn):
    for name in ("pareto", "latency", "intervals", "lines"):
        assert set(re.findall(r'data-row="(\d)"', drawn[name])) == {"0", "1", "2"}, name
    assert '<g data-row="0"><title>a@x</title>' in drawn["pareto"]


def test_ids_are_only_those_that_are_used(drawn):
    for name, text in drawn.items():
        told = re.findall(r' id="([^"]*)"', text)
        assert set(told) <= set(re.findall(r"#([\w-]+)", text)), name


def test_the_same_data_is_the_same_drawing(drawn):
    assert drawings() == drawn


def test_numbers_that_are_read_are_not_rounded(drawn):
    assert ">99.9 %<" in drawn["latency"].replace("\n", "")
