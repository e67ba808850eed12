"""Memory: by row, and over the life of one fresh process of each of the first rows."""

from harness.analyse.timeline import Timeline, timeline
from harness.report.footprint import footprint_cells
from harness.report.markup import Html, el, joined
from harness.report.page.material import Material, Section
from harness.report.page.parts import chip, figure, figures, table
from harness.report.plots.memory import PHASES, memory
from harness.report.plots.style import Line

_MOST = 6
_TOLD = (
    "Memory that the first fresh process of each of the first rows held; its phases are in the strip below. Dashed: "
    "the peak that the kernel counted, which readings in between can miss."
)
_ALONE = "value [?]: one process was measured, so that no interval is known"


def memory_section(of: Material) -> Section | None:
    """Return the plots and the table by memory; None where nothing was measured."""
    if not any(row.metrics for row in of.ranking.rows):
        return None
    found = [(line, each) for line in of.coloured if (each := _first(of, line)) is not None][:_MOST]
    most = max((max(float(each.mib.max()), each.peak_mib or 0.0) for _, each in found), default=0.0)
    drawn = (
        figure(memory(each, line, most, f"Memory of {line.name}", _told(each)), f"{line.name}: {_told(each)}")
        for line, each in found
    )
    head, rows = footprint_cells(of.ranking)
    heads = ("row", *(each.replace("\n", ", ") for each in head[3:]))
    numbers = table(heads, ([f"{row[1]}@{row[2]}", *row[3:]] for row in rows), _ALONE)
    above = joined(el("p", _TOLD, class_="note"), _phases()) if found else None
    return Section("memory", "Memory", joined(above, figures(*drawn), numbers))


def _first(of: Material, line: Line) -> Timeline | None:
    """Return what the first fresh process of a row tells."""
    fresh = [trial for trial in (*of.reader.cold(line.name), *of.reader.trials(line.name)) if trial.outcome.fresh]
    return timeline(fresh[0]) if fresh else None


def _phases() -> Html:
    """Name the phases' colours."""
    named = [Line(-1, words, colour) for colour, words in enumerate(PHASES.values())]
    return el("p", *(el("span", chip(each), each.name) for each in (*named, Line(-1, "other"))), class_="legend")


def _told(of: Timeline) -> str:
    peak = "" if of.peak_mib is None else f", peak {of.peak_mib:.0f} MiB"
    return f"{of.t_s.size} readings{peak}"
