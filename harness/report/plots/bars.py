"""Rows as horizontal lines of text with something drawn beside them: intervals, steps one after another, fractions."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from harness.report.markup import Html
from harness.report.plots.style import INK, PALETTE, SURFACE, WIDTH, Line, Scale, box, line, scale, set_axis
from harness.report.plots.svg import drawn, row
from harness.score.words import percent

_LINE, _HEAD, _THICK = 26.0, 46.0, 0.55
_HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "||||", "----")


class Span(NamedTuple):
    """A value with its interval; None where an end is not known."""

    value: float
    low: float | None
    high: float | None


def _frame(figure: Figure, lines: Sequence[Line]) -> Axes:
    """Return axes with a line for each row, the first on top, named on the left."""
    axes = figure.subplots()
    axes.set(ylim=(len(lines) - 0.5, -0.5))
    axes.set_yticks(range(len(lines)), [each.name.replace("@", "\n") for each in lines], fontsize=8, linespacing=1.1)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    return axes


def _size(lines: Sequence[Line], more: float = 0.0) -> tuple[float, float]:
    return WIDTH, _HEAD + more + _LINE * len(lines)


def _names(lines: Sequence[Line]) -> dict[int, str]:
    return {each.row: each.name for each in lines}


def intervals(
    lines: Sequence[Line], spans: Mapping[int, Span], label: str, log: bool, bound: float | None, title: str, told: str
) -> Html:
    """Draw a value with its interval for each row; `bound` is a limit, drawn across."""
    shown = [each for each in lines if each.row in spans]

    def draw(figure: Figure) -> None:
        axes = _frame(figure, shown)
        ends = [end for each in shown for end in spans[each.row] if end is not None]
        of = scale([*ends, *([] if bound is None else [bound])], log)
        set_axis(axes, "x", of, label)
        if bound is not None:
            axes.axvline(bound, color=INK, linestyle=(0, (2, 2)), linewidth=1)
        for at, each in enumerate(shown):
            value, low, high = spans[each.row]
            reach = [of.low if low is None else low, of.high if high is None else high]
            line(axes, reach, [at, at], color=each.ink, linewidth=1.6, gid=row(each.row))
            line(axes, [value], [at], color=each.ink, marker=each.marker, markersize=6, gid=row(each.row))

    return drawn(draw, _size(shown), title, told, _names(shown))


def steps(lines: Sequence[Line], found: Mapping[int, Mapping[str, Span]], label: str, title: str, told: str) -> Html:
    """Draw, for each row, its steps one after another: medians as bars, intervals as thin lines at the bars' ends."""
    shown = [each for each in lines if found.get(each.row)]
    names = list(dict.fromkeys(name for each in shown for name in found[each.row]))
    inks = {name: PALETTE[at % len(PALETTE)] for at, name in enumerate(names)}

    def draw(figure: Figure) -> None:
        axes = _frame(figure, shown)
        most = 0.0
        for at, each in enumerate(shown):
            begin = 0.0
            for name, span in found[each.row].items():
                pattern = _HATCHES[names.index(name) % len(_HATCHES)]
                look = {"facecolor": inks[name], "hatch": pattern, "edgecolor": SURFACE}
                box(axes, (begin, at - _THICK / 2), span.value, _THICK, gid=row(each.row), **look)
                if span.low is not None and span.high is not None:
                    ends = [begin + span.low, begin + span.high]
                    line(axes, ends, [at + 0.36] * 2, color=INK, linewidth=1.1, gid=row(each.row))
                    most = max(most, ends[1])
                begin += span.value
            most = max(most, begin)
        set_axis(axes, "x", _from_zero(most), label)
        keys = [
            Patch(facecolor=inks[n], hatch=_HATCHES[i % len(_HATCHES)], edgecolor=SURFACE, label=n)
            for i, n in enumerate(names)
        ]
        figure.legend(handles=keys, loc="outside upper left", ncols=2, frameon=False, fontsize=8.5)

    return drawn(draw, _size(shown, 15.0 * -(-len(names) // 2)), title, told, _names(shown))


def fractions(lines: Sequence[Line], found: Mapping[int, float], label: str, title: str, told: str) -> Html:
    """Draw a fraction of 1 for each row as a bar with its number."""
    shown = [each for each in lines if each.row in found]

    def draw(figure: Figure) -> None:
        axes = _frame(figure, shown)
        set_axis(axes, "x", Scale(0.0, 1.12, False, (0.0, 0.25, 0.5, 0.75, 1.0)), label)
        for at, each in enumerate(shown):
            value = found[each.row]
            box(axes, (0.0, at - _THICK / 2), value, _THICK, facecolor=each.ink, gid=row(each.row))
            axes.text(value + 0.015, at, percent(value), va="center", fontsize=8.5)

    return drawn(draw, _size(shown), title, told, _names(shown))


def _from_zero(most: float) -> Scale:
    return scale([0.0, most], log=False, margin=0.04)._replace(low=0.0)
