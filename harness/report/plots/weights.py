"""Who wins under which weights: lines of scores for two objectives, a triangle of regions for three."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from harness.report.markup import Html
from harness.report.plots.style import INK, SURFACE, WIDTH, Line, Scale, line, set_axis
from harness.report.plots.svg import drawn, row
from harness.spec.arrays import Floats

_HEIGHT = 300.0
_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(3) / 2]])


def lines_of_scores(
    lines: Sequence[Line], utilities: Floats, keys: Sequence[str], own: float, title: str, told: str
) -> Html:
    """Draw each row's score against the weight of the first of two objectives; `own` is the policy's weight.

    `utilities` is [rows, 2], in the order of `lines`.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        quarters = (0.0, 0.25, 0.5, 0.75, 1.0)
        set_axis(axes, "x", Scale(0.0, 1.0, False, quarters), f"weight of {keys[0]} (the rest: {keys[1]})")
        set_axis(axes, "y", Scale(-0.02, 1.02, False, quarters), "score")
        for each, (first, second) in reversed([*zip(lines, utilities, strict=True)]):
            wide = 1.8 if each.colour is not None else 0.8
            line(axes, [0, 1], [second, first], color=each.ink, linestyle=each.dash, linewidth=wide, gid=row(each.row))
        axes.axvline(own, color=INK, linewidth=1, linestyle=(0, (2, 2)))
        axes.text(own, 0.0, " the policy", fontsize=8.5, ha="left" if own < 0.75 else "right")

    return drawn(draw, (WIDTH, _HEIGHT), title, told, {each.row: each.name for each in lines})


def triangle(
    lines: Sequence[Line], regions: Mapping[int, Floats], keys: Sequence[str], own: Floats, title: str, told: str
) -> Html:
    """Draw the regions of rows (by place in `lines`) for three objectives; `own` are the policy's weights."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.set(xlim=(-0.16, 1.16), ylim=(-0.11, 0.97), aspect="equal")
        axes.set_axis_off()
        for at, corners in regions.items():
            of = lines[at]
            axes.fill(*(corners @ _CORNERS).T, facecolor=of.ink, edgecolor=SURFACE, linewidth=1.2, gid=row(of.row))
        x, y = own @ _CORNERS
        line(axes, [x], [y], color=INK, marker="*", markersize=11, markeredgecolor=SURFACE)
        places = ((0.0, -0.03, "left", "top"), (1.0, -0.03, "right", "top"), (0.5, 0.89, "center", "bottom"))
        for key, (x, y, ha, va) in zip(keys, places, strict=True):
            axes.text(x, y, f"only {key}", ha=ha, va=va)

    return drawn(draw, (WIDTH, _HEIGHT), title, told, {each.row: each.name for each in lines})
