"""Memory over the life of one process, with its phases below."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.analyse.timeline import Timeline
from harness.report.markup import Html
from harness.report.plots.style import INK, MUTED, PALETTE, SURFACE, WIDTH, Line, scale, set_axis
from harness.report.plots.svg import drawn, row

_HEIGHT = 178.0
_ORDER = ("start", "import", "load", "first", "warm_up", "measure", "predict")
_SHORTEST = 0.09
"""A phase gets its name where it takes at least this fraction of the time."""


def memory(of: Timeline, line: Line, most_mib: float, title: str, told: str) -> Html:
    """Draw the memory that a process held, up to `most_mib`, so that several such plots compare."""

    def draw(figure: Figure) -> None:
        axes, below = figure.subplots(2, sharex=True, height_ratios=[6, 1])
        end = max([float(of.t_s[-1]), *(phase.end_s for phase in of.phases)])
        set_axis(below, "x", scale([0.0, end], log=False, margin=0.0), "s since the process was started")
        set_axis(axes, "y", scale([0.0, most_mib], log=False, margin=0.05)._replace(low=0.0), "MiB")
        axes.tick_params(axis="x", length=0, labelbottom=False)
        axes.fill_between(of.t_s, of.mib, color=line.ink, alpha=0.14)
        axes.plot(of.t_s, of.mib, color=line.ink, marker=".", markersize=4, gid=row(line.row))
        if of.peak_mib is not None:
            axes.axhline(of.peak_mib, color=INK, linewidth=0.9, linestyle=(0, (2, 2)))
            axes.text(0, of.peak_mib, "peak", fontsize=8, va="bottom")
        below.set(ylim=(0, 1), yticks=[])
        below.grid(visible=False)
        below.spines["left"].set_visible(False)
        for phase in of.phases:
            _phase(below, phase.name.partition(":")[0], phase.begin_s, phase.end_s, end)

    return drawn(draw, (WIDTH, _HEIGHT), title, told, {line.row: line.name})


def _phase(below: Axes, kind: str, begin: float, until: float, end: float) -> None:
    ink = PALETTE[_ORDER.index(kind) % len(PALETTE)] if kind in _ORDER else MUTED
    below.axvspan(begin, until, color=ink, alpha=0.75)
    if until - begin >= _SHORTEST * end:
        middle = (begin + until) / 2
        below.text(middle, 0.5, kind.replace("_", "-"), fontsize=7.5, ha="center", va="center", color=SURFACE)
