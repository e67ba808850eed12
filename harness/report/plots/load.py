"""Load curves: p99 and median of latency against the rate that requests arrive at."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.analyse.loads import LoadPoint
from harness.report.markup import Html
from harness.report.plots.style import INK, WIDTH, Line, Scale, line, scale, set_axis
from harness.report.plots.svg import drawn, row

_HEIGHT = 300.0


def load_curves(
    lines: Sequence[Line], found: Mapping[int, Sequence[LoadPoint]], limit_ms: float | None, title: str, told: str
) -> Html:
    """Draw p99 with its intervals and, thin, the median of each row; `limit_ms` is a limit on p99, drawn across."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        points = [point for each in found.values() for point in each]
        ends = [end for p in points for end in (p.p50_ms, p.p99_ms, p.low_ms, p.high_ms) if 0 < end < math.inf]
        of = scale([*ends, *([limit_ms] if limit_ms else [])], log=True)
        set_axis(axes, "x", scale([point.rate_per_s for point in points], log=True), "requests offered per second")
        set_axis(axes, "y", of, "latency, ms")
        if limit_ms is not None:
            axes.axhline(limit_ms, color=INK, linewidth=1, linestyle=(0, (2, 2)))
        for each in reversed(lines):
            _curve(axes, each, found.get(each.row, ()), of)

    return drawn(draw, (WIDTH, _HEIGHT), title, told, {each.row: each.name for each in lines})


def _curve(axes: Axes, own: Line, points: Sequence[LoadPoint], of: Scale) -> None:
    """Draw one row's points, joined."""
    rates = [point.rate_per_s for point in points]
    for point in points:
        if math.isinf(point.low_ms) and math.isinf(point.high_ms):
            continue
        ends = [max(point.low_ms, of.low), min(point.high_ms, of.high)]
        line(axes, [point.rate_per_s] * 2, ends, color=own.ink, linewidth=0.9, gid=row(own.row))
    look: dict[str, Any] = {"color": own.ink, "linestyle": own.dash, "gid": row(own.row)}
    line(axes, rates, [point.p50_ms for point in points], linewidth=0.8, marker=".", markersize=4, **look)
    line(axes, rates, [point.p99_ms for point in points], marker=own.marker, markersize=5, **look)
