"""The history of rows on a terminal, and as a plot."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from harness.analyse.history import History, Series
from harness.errors import SpecError
from harness.evidence.files import write_whole
from harness.score.words import amount, listed, percent, short_name
from harness.spec.metrics import lookup
from harness.stats.trend import Shift, bins

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDTH, _MOST, _PANELS = 32, 60, 24
_ACROSS = 3
_FLAT = 0.02  # a picture's scale spans this much at least, so that noise looks like noise


def history_table(found: History) -> RenderableType:
    """Return a line for each series: runs, a small picture, the level now and since when, its shifts."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("row", "metric", "runs", "", "level now", "since", "run to run", "shifts"):
        table.add_column(heading, justify="right" if heading in ("runs", "level now", "run to run") else "left")
    shown = sorted(found.series, key=_worst_first)[:_MOST]
    for series in shown:
        table.add_row(*map(escape, _texts(series)), style="bold red" if _got_worse(series) else "")
    return Group(table, *(Text(f"· {note}", style="dim") for note in _notes(found, len(shown))))


def sparkline(values: Sequence[float], width: int = _WIDTH) -> str:
    """Draw positive values as blocks on a logarithmic scale; each is the median of a part of the runs."""
    logs = [math.log(value) for value in bins(values, width)]
    if not logs:
        return ""
    low, span = min(logs), max(max(logs) - min(logs), _FLAT)
    return "".join(_BLOCKS[min(len(_BLOCKS) - 1, int((each - low) / span * len(_BLOCKS)))] for each in logs)


def write_plot(path: Path, found: History) -> None:
    """Draw the series over time, with their shifts, into a file that matplotlib knows by its suffix.

    Raises SpecError if matplotlib is not installed, or does not know the suffix.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SpecError("--plot", "needs matplotlib", "pip install matplotlib") from None
    shown = sorted(found.series, key=_worst_first)[:_PANELS]
    down = math.ceil(len(shown) / _ACROSS)
    figure = Figure(figsize=(5.0 * _ACROSS, 2.4 * max(down, 1)), layout="constrained")
    for index, series in enumerate(shown):
        axes = figure.add_subplot(down, _ACROSS, index + 1)
        times = np.array([run.time.replace(tzinfo=None) for run in series.runs], dtype="datetime64[s]")
        axes.plot(times, series.values, ".", color="#0072b2", markersize=4)
        for shift in series.trend.shifts:
            axes.axvline(times[shift.at], color="#d55e00", linewidth=1)
        axes.set_title(f"{series.row}\n{_name(series)}", fontsize=8)
        axes.set_ylabel(lookup(series.metric).unit, fontsize=7)
        axes.tick_params(labelsize=6)
        axes.tick_params(axis="x", rotation=30)
    suffix = path.suffix.removeprefix(".")
    try:
        write_whole(path, lambda temporary: figure.savefig(temporary, format=suffix or None))
    except ValueError as error:
        raise SpecError("--plot", str(error).splitlines()[0], "name a file ending in .svg, .png or .pdf") from error


def _texts(series: Series) -> list[str]:
    of = series.trend
    noise = "–" if of.noise is None else percent(of.noise, 1)
    shifts = listed([_shift(series, shift) for shift in reversed(of.shifts)], most=2) if of.shifts else "–"
    since = f"{series.runs[of.since].time:%Y-%m-%d}"
    level = amount(of.level, series.metric)
    return [series.row, _name(series), str(len(series.values)), sparkline(series.values), level, since, noise, shifts]


def _name(series: Series) -> str:
    return f"{short_name(series.metric)} ({series.scenario})" if series.scenario else short_name(series.metric)


def _shift(series: Series, shift: Shift) -> str:
    return f"{shift.change:+.1%} on {series.runs[shift.at].time:%Y-%m-%d}"


def _got_worse(series: Series) -> bool:
    """Whether the last shift was one for the worse."""
    if not series.trend.shifts:
        return False
    up = series.trend.shifts[-1].change > 0.0
    return up == (lookup(series.metric).better == "lower")


def _worst_first(series: Series) -> tuple[bool, float, str, str]:
    last = abs(series.trend.shifts[-1].change) if series.trend.shifts else 0.0
    return not _got_worse(series), -last, series.row, series.metric


def _notes(found: History, shown: int) -> list[str]:
    suites = listed(dict.fromkeys(run.suite for run in found.runs), most=9)
    hosts = [host or "not known" for host in dict.fromkeys(series.host for series in found.series)]
    notes = [f"{len(found.runs)} runs of {suites}; “run to run” is what compare takes as --noise"]
    notes += [f"hosts are kept apart: {listed(hosts, most=4)}"] if len(hosts) > 1 else []
    notes += [f"{len(found.series) - shown} more series: name a suite, --row or --metric"] * (len(found.series) > shown)
    names = [path.parent.name for path in found.damaged]
    notes += [f"not used, because damaged (harness rank RUN): {listed(names, most=4)}"] if names else []
    return notes
