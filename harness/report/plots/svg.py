"""From a matplotlib figure to inline SVG: accessible, in the page's colours and font, without ids that could clash."""

import io
import re
from collections.abc import Callable, Mapping
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from harness.report.markup import Html, el
from harness.report.plots.style import GRID, INK, MUTED, PALETTE, SURFACE

_POINTS = 72.0
_SIZE = 10.0
_VARIABLES = {INK: "ink", GRID: "grid", MUTED: "muted", SURFACE: "surface"} | {
    colour: f"c{number}" for number, colour in enumerate(PALETTE, 1)
}
_STYLE: dict[Any, object] = {
    "svg.fonttype": "none",
    "font.size": _SIZE,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "axes.labelsize": _SIZE,
    "axes.titlesize": _SIZE,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.6,
    "patch.linewidth": 0,
    "hatch.linewidth": 0.5,
}
_ROW = re.compile(r'<g id="row-(\d+)-([\w ]*)">')
_TAG = re.compile(r"<[^>]+>")
_ID = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r'(?:url\(#|href="#)([^")]+)')
_NUMBER = re.compile(r"\d+\.\d{3,}")
_FONT = re.compile(r"font-family: [^;\"]*")


def row(number: int, part: str = "") -> str:
    """Return the gid of what belongs to a row of the ranking: the page highlights it, and shows the row's name.

    `part` is a class of the page's stylesheet.
    """
    return f"row-{number}-{part}"


def drawn(
    draw: Callable[[Figure], None], size: tuple[float, float], title: str, told: str, names: Mapping[int, str]
) -> Html:
    """Draw a figure of `size` (points) and return it as SVG with a title and a description (`told`).

    `names` are the rows that it may show, by number.
    """
    with rc_context(_STYLE | {"svg.hashsalt": title}):
        figure = Figure(figsize=(size[0] / _POINTS, size[1] / _POINTS), layout="constrained")
        draw(figure)
        figure.patch.set_visible(False)
        for axes in figure.axes:
            axes.patch.set_visible(False)
        out = io.StringIO()
        nothing_told = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(out, metadata=nothing_told)
    return inline(out.getvalue(), size, title, told, names)


def inline(text: str, size: tuple[float, float], title: str, told: str, names: Mapping[int, str]) -> Html:
    """Return an SVG file's text as an inline element; see `drawn`."""
    body = text[text.index("<defs>") : text.rindex("</svg>")]
    used = set(_REFERENCE.findall(body))
    body = _ROW.sub(lambda found: _named(int(found[1]), found[2], names), body)
    body = _ID.sub(lambda found: found[0] if found[1] in used else "", body)
    for colour, name in _VARIABLES.items():
        body = body.replace(colour, f"var(--{name})")
    body = re.sub(r"\n\s*", "\n", _TAG.sub(lambda found: _shortened(found[0]), body))
    head = el("title", title) + el("desc", told)
    box = f"0 0 {size[0]:g} {size[1]:g}"
    return Html(
        el("svg", Html(head + body), viewBox=box, role="img", aria_label=f"{title}. {told}", style=f"--w:{size[0]:g}")
    )


def _shortened(tag: str) -> str:
    """Give a tag's numbers two decimals, and its text the page's font."""
    return _FONT.sub("font-family: var(--sans)", _NUMBER.sub(lambda found: f"{float(found[0]):.2f}", tag))


def _named(number: int, part: str, names: Mapping[int, str]) -> str:
    name = el("title", names[number]) if number in names else ""
    marked = f' class="{part}"' if part else ""
    return f'<g data-row="{number}"{marked}>{name}'
