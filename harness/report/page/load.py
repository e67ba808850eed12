"""Load and capacity: latency against the rate of arrivals, and the highest rate that keeps a limit."""

from contextlib import suppress

from harness.analyse.loads import LoadPoint, load_points, offered_of
from harness.errors import EvidenceError
from harness.report import cells
from harness.report.markup import Html
from harness.report.page.material import Material, Section
from harness.report.page.parts import figure, figures, legend, table
from harness.report.plots import bars
from harness.report.plots.bars import Span
from harness.report.plots.load import load_curves
from harness.score.words import number

_CAPACITY = "capacity_per_s"
_TOLD = (
    "Latency at the rate at which requests arrive, whether or not earlier ones are done. Marks: p99 with its 95 % "
    "interval; a line to the edge has no known end, and one trial has no interval. Dots, thin lines: the median. "
    "Dashed: the limit on p99, where there is one."
)
_HIGHEST = "Highest rate at which the percentile keeps its limit; 95 % intervals over trials."


def load_section(of: Material) -> Section | None:
    """Return load curves and capacity of each scenario that has them; None where requests came in no open loop."""
    parts = []
    for index, scenario in enumerate(of.ranked.record.suite.scenario):
        prefix = f"{scenario.name}." if index else ""
        parts += [*_curves(of, scenario.name, prefix), *_capacity(of, scenario.name, prefix + _CAPACITY)]
    return Section("load", "Load and capacity", figures(*parts, legend(of.coloured, len(of.lines)))) if parts else None


def _curves(of: Material, scenario: str, prefix: str) -> list[Html]:
    found = {line.row: points for line in of.lines if (points := _points(of, line.name, scenario))}
    if not found:
        return []
    limit = of.ranked.policy.limits.get(f"{prefix}latency_p99_ms")
    title = f"Latency under load, scenario {scenario}"
    drawing = load_curves(of.lines, found, None if limit is None else limit.max, title, _TOLD)
    texts = ([of.names[row], *_texts(point)] for row, points in found.items() for point in points)
    numbers = table(("row", "offered, 1/s", "p50, ms", "p99, ms", "requests", "trials"), texts)
    return [figure(drawing, f"{title}. {_TOLD}"), numbers]


def _points(of: Material, cell: str, scenario: str) -> list[LoadPoint]:
    with suppress(EvidenceError):  # damaged requests are named with their run
        return load_points(offered_of(of.reader.trials(cell), scenario))
    return []


def _texts(of: LoadPoint) -> list[str]:
    low, high = ("?" if not 0 < end < float("inf") else number(end) for end in (of.low_ms, of.high_ms))
    p99 = f"{number(of.p99_ms)} [{low}, {high}]"
    return [number(of.rate_per_s), number(of.p50_ms), p99, f"{of.n:,}", str(of.trials)]


def _capacity(of: Material, scenario: str, key: str) -> list[Html]:
    known = {line.row: measure for line in of.lines if (measure := of.row(line).metrics.get(key)) is not None}
    if not known:
        return []
    spans = {row: Span(each.value, each.low, each.high) for row, each in known.items()}
    title = f"Capacity, scenario {scenario}"
    drawing = bars.intervals(of.lines, spans, "requests per second", True, None, title, _HIGHEST)
    numbers = table(("row", "capacity, 1/s"), ([of.names[row], cells.value(each)] for row, each in known.items()))
    return [figure(drawing, f"{title}. {_HIGHEST}"), numbers]
