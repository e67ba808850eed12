"""Two metrics against each other: where each row stands, and the rows that no other beats in both."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report.markup import Html
from harness.report.plots.style import MUTED, WIDTH, Line, Scale, set_axis
from harness.report.plots.svg import drawn, row

HEIGHT = 300.0


class Point(NamedTuple):
    """A value with its ends; None where an end is not known."""

    value: float
    low: float | None
    high: float | None


class Axis(NamedTuple):
    """A metric as an axis: key, label, scale, which direction is better, and the point of each row that has one."""

    key: str
    label: str
    scale: Scale
    better: str
    points: Mapping[int, Point]


def front(x: Axis, y: Axis) -> list[int]:
    """Return the rows that no other row beats in both metrics, from the best in `x` on."""
    both = [each for each in x.points if each in y.points]
    own = {each: (_cost(x, each), _cost(y, each)) for each in both}
    best: list[int] = []
    for each in sorted(both, key=lambda number: own[number]):
        if not best or own[each][1] < own[best[-1]][1]:
            best.append(each)
    return best


def _cost(axis: Axis, number: int) -> float:
    value = axis.points[number].value
    return -value if axis.better == "higher" else value


def pareto(x: Axis, y: Axis, lines: Sequence[Line], title: str, told: str) -> Html:
    """Draw the rows by two metrics, with their intervals and the front."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        set_axis(axes, "x", x.scale, x.label)
        set_axis(axes, "y", y.scale, y.label)
        best = [(x.points[each].value, y.points[each].value) for each in front(x, y)]
        if len(best) > 1:
            axes.plot(*zip(*best, strict=True), color=MUTED, linestyle=(0, (3, 2)), linewidth=1, drawstyle="steps-post")
        for line in reversed(lines):
            if line.row in x.points and line.row in y.points:
                _mark(axes, line, x.points[line.row], y.points[line.row])

    return drawn(draw, (WIDTH, HEIGHT), title, told, {line.row: line.name for line in lines})


def _mark(axes: Axes, line: Line, x: Point, y: Point) -> None:
    """Draw a row's point with both intervals."""
    size = 6.5 if line.colour is not None else 4.5
    look: dict[str, Any] = {"xerr": _reach(x), "yerr": _reach(y), "elinewidth": 0.9, "linestyle": "none"}
    drawing = axes.errorbar(x.value, y.value, color=line.ink, marker=line.marker, markersize=size, **look)
    for part in drawing.get_children():
        part.set_gid(row(line.row))


def _reach(point: Point) -> list[list[float]]:
    """Return how far the interval reaches below and above the value; not at all where an end is not known."""
    below = point.value - point.low if point.low is not None else 0.0
    above = point.high - point.value if point.high is not None else 0.0
    return [[max(0.0, end) if math.isfinite(end) else 0.0] for end in (below, above)]
