"""Latency distributions: the fraction of requests within a time, with the tail stretched, and intervals as bands."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from harness.analyse.distribution import Band, Curve
from harness.report.markup import Html
from harness.report.plots.style import WIDTH, Line, line, scale, set_axis
from harness.report.plots.svg import drawn, row
from harness.spec.arrays import Floats

_HEIGHT, _SHOWN = 300.0, 2
_TICKS = {0.0: "0 %", 0.5: "50 %", 0.9: "90 %", 0.99: "99 %", 0.999: "99.9 %", 0.9999: "99.99 %", 0.99999: "99.999 %"}


def distributions(
    lines: Sequence[Line], curves: Mapping[int, Curve], bands: Mapping[int, Band], title: str, told: str
) -> Html:
    """Draw a curve for each row that has one, by its number, and its band; the first bands are seen at once."""
    shown = [*bands][:_SHOWN]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        values = np.concatenate([found.values_ms for found in curves.values()])
        of = scale(values[values > 0].tolist(), log=True, margin=0.03)
        set_axis(axes, "x", of, "latency, ms")
        ends = _stretched(np.array([0.0, max(float(found.levels[-1]) for found in curves.values())]))
        axes.set(ylim=(ends[0], ends[1] * 1.03), ylabel="fraction of requests")
        axes.yaxis.set_major_locator(FixedLocator(_stretched(np.array([*_TICKS])).tolist()))
        axes.yaxis.set_major_formatter(FixedFormatter([*_TICKS.values()]))
        axes.yaxis.set_minor_locator(NullLocator())
        for each in reversed(lines):
            if each.row in bands:
                _band(axes, bands[each.row], each, "band" if each.row in shown else "band later")
            if each.row in curves:
                found, wide = curves[each.row], 1.7 if each.colour is not None else 0.8
                at = np.maximum(found.values_ms, of.low), _stretched(found.levels)
                line(axes, *at, color=each.ink, linestyle=each.dash, linewidth=wide, gid=row(each.row))

    return drawn(draw, (WIDTH, _HEIGHT), title, told, {each.row: each.name for each in lines})


def _band(axes: Axes, of: Band, own: Line, part: str) -> None:
    """Shade between the ends where both are known."""
    known = np.isfinite(of.low_ms) & np.isfinite(of.high_ms)
    low, high = (np.where(known, end, 1.0) for end in (of.low_ms, of.high_ms))
    drawn = axes.fill_betweenx(_stretched(of.levels), low, high, where=known.tolist(), color=own.ink, alpha=0.2)
    drawn.set_gid(row(own.row, part))


def _stretched(levels: Floats) -> Floats:
    """Give each tenth of what remains the same room."""
    return -np.log10(1.0 - levels)
