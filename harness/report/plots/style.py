"""Colours, line styles and axes that all plots share; the page gives each colour a value for light and for dark."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from harness.score.words import number
from harness.spec.arrays import Floats

INK, MUTED, GRID, SURFACE = "#101418", "#6c7683", "#d9dee4", "#fdfefe"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6bbf")
"""After Okabe & Ito, Color Universal Design (2008); told apart with any common colour blindness."""
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1)), (0, (8, 2)), (0, (1, 2)))
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
WIDTH = 440.0
_MOST_TICKS = 7


class Line(NamedTuple):
    """How a row is drawn: its number in the ranking, its name, and its colour (None: one of the many, in grey)."""

    row: int
    name: str
    colour: int | None = None

    @property
    def ink(self) -> str:
        """The colour."""
        return MUTED if self.colour is None else PALETTE[self.colour]

    @property
    def dash(self) -> object:
        """The line style."""
        return "-" if self.colour is None else DASHES[self.colour]

    @property
    def marker(self) -> str:
        """The marker's shape."""
        return "o" if self.colour is None else MARKERS[self.colour]


class Scale(NamedTuple):
    """An axis: its ends, whether it is logarithmic, and where its ticks are."""

    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Return where a value is, 0 at the low end and 1 at the high one; ends hold what is beyond them."""
        ends = self.low, self.high, max(value, self.low) if self.log else value
        low, high, own = map(math.log, ends) if self.log else ends
        return min(1.0, max(0.0, (own - low) / (high - low)))


def scale(values: Sequence[float], log: bool, margin: float = 0.06) -> Scale:
    """Return an axis that holds all values; logarithmic only where all are positive and they differ by a tenth."""
    known = [value for value in values if math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    log = log and low > 0 and high / low > 1.1
    if log:
        room = math.log(high / low) * margin
        low, high = low * math.exp(-room), high * math.exp(room)
        return Scale(low, high, True, _log_ticks(low, high))
    room = (high - low) * margin if high > low else abs(high) * 0.05 or 0.5
    low, high = low - room, high + room
    return Scale(low, high, False, _linear_ticks(low, high))


def _log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Return ticks at 1, 2, 5 of each decade, or 1 only, or every so many decades; linear ones within a decade."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = tuple(float(f"{step}e{decade}") for decade in decades for step in steps)
        inside = tuple(tick for tick in ticks if low <= tick <= high)
        if 3 <= len(inside) <= _MOST_TICKS:
            return inside
    inside = tuple(tick for decade in decades if low <= (tick := float(f"1e{decade}")) <= high)
    if len(inside) > _MOST_TICKS:
        return inside[:: math.ceil(len(inside) / _MOST_TICKS)]
    return tuple(tick for tick in _linear_ticks(low, high) if tick > 0)


def _linear_ticks(low: float, high: float) -> tuple[float, ...]:
    raw = (high - low) / 5
    base = 10.0 ** math.floor(math.log10(raw))
    step = next(base * each for each in (1, 2, 2.5, 5, 10) if base * each >= raw)
    first, last = math.ceil(low / step), math.floor(high / step)
    return tuple(float(f"{step * each:.12g}") for each in range(first, last + 1))


def tick_text(tick: float) -> str:
    """Write a tick with all of its digits: 0.9925 is not 0.993."""
    return number(tick, 12)


def line(axes: Axes, x: Sequence[float] | Floats, y: Sequence[float] | Floats, **look: Any) -> None:
    """Draw a line on axes whose scales are set; many times faster than `axes.plot`, which looks for new scales."""
    axes.add_artist(Line2D(x, y, **look))


def box(axes: Axes, corner: tuple[float, float], width: float, height: float, **look: Any) -> None:
    """Draw a rectangle on axes whose scales are set; `corner` is its lower left one."""
    axes.add_artist(Rectangle(corner, width, height, **look))


def set_axis(axes: Axes, which: str, of: Scale, label: str) -> None:
    """Give the axis `which` ("x" or "y") a scale and a label."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log" if of.log else "linear", f"{which}lim": (of.low, of.high)})
    axis.set_major_locator(FixedLocator(of.ticks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
    axis.set_minor_locator(NullLocator())
    axis.set_label_text(label)
