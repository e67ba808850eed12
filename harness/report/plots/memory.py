"""Memory over the life of one process, with its phases below."""

from matplotlib.figure import Figure

from harness.analyse.timeline import Timeline
from harness.report.markup import Html
from harness.report.plots.style import INK, MUTED, PALETTE, WIDTH, Line, box, line, scale, set_axis
from harness.report.plots.svg import drawn, row

_HEIGHT = 150.0
PHASES = {
    "start": "start the interpreter",
    "import": "import the runtime",
    "load": "load the model",
    "first": "first inference",
    "warm_up": "warm up",
    "measure": "measure",
    "predict": "predict",
}
"""The phases that have a colour, in the order of the palette, in words; others are grey."""


def memory(of: Timeline, own: Line, most_mib: float, title: str, told: str) -> Html:
    """Draw the memory that a process held, up to `most_mib`, so that several such plots compare."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        end = max([float(of.t_s[-1]), *(phase.end_s for phase in of.phases)])
        up = scale([0.0, most_mib], log=False, margin=0.05)
        set_axis(axes, "x", scale([0.0, end], log=False, margin=0.0), "s since the process was started")
        set_axis(axes, "y", up._replace(low=-0.17 * up.high, ticks=tuple(t for t in up.ticks if t >= 0)), "MiB")
        axes.fill_between(of.t_s, of.mib, color=own.ink, alpha=0.14)
        line(axes, of.t_s, of.mib, color=own.ink, marker=".", markersize=4, gid=row(own.row))
        if of.peak_mib is not None:
            axes.axhline(of.peak_mib, color=INK, linewidth=0.9, linestyle=(0, (2, 2)))
        for phase in of.phases:
            corner, long = (phase.begin_s, -0.15 * up.high), phase.end_s - phase.begin_s
            box(axes, corner, long, 0.11 * up.high, facecolor=_ink(phase.name.partition(":")[0]))

    return drawn(draw, (WIDTH, _HEIGHT), title, told, {own.row: own.name})


def _ink(phase: str) -> str:
    return dict(zip(PHASES, PALETTE, strict=True)).get(phase, MUTED)
