"""Two metrics against each other: where each row stands, and the rows that no other beats in both."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report.markup import Html
from harness.report.plots.style import MUTED, SURFACE, WIDTH, Line, Scale, line, set_axis
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
            look: dict[str, Any] = {"color": MUTED, "linestyle": (0, (3, 2)), "linewidth": 1, "drawstyle": "steps-post"}
            line(axes, *zip(*best, strict=True), **look)
        for each in reversed(lines):
            if each.row in x.points and each.row in y.points:
                _mark(axes, each, x.points[each.row], y.points[each.row])

    return drawn(draw, (WIDTH, HEIGHT), title, told, {each.row: each.name for each in lines})


def _mark(axes: Axes, of: Line, x: Point, y: Point) -> None:
    """Draw a row's point with both intervals; hollow where an end of one is not known."""
    thin = {"color": of.ink, "linewidth": 0.9, "gid": row(of.row)}
    if x.low is not None and x.high is not None:
        line(axes, [x.low, x.high], [y.value] * 2, **thin)
    if y.low is not None and y.high is not None:
        line(axes, [x.value] * 2, [y.low, y.high], **thin)
    size, fill = 6.5 if of.colour is not None else 4.5, of.ink if bounded(x) and bounded(y) else SURFACE
    look = {"marker": of.marker, "markersize": size, "markerfacecolor": fill}
    line(axes, [x.value], [y.value], linestyle="none", color=of.ink, gid=row(of.row), **look)


def bounded(of: Point) -> bool:
    """Whether both ends of a point are known."""
    return of.low is not None and of.high is not None
