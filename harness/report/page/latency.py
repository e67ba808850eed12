"""Latency distributions, one plot for each scenario that times its requests."""

from contextlib import suppress

from harness.analyse.distribution import band, curve, requests_of
from harness.errors import EvidenceError
from harness.report.markup import Html
from harness.report.page.material import Material, Section
from harness.report.page.parts import figure, figures, legend
from harness.report.plots.latency import distributions
from harness.scenarios.base import kind
from harness.spec.arrays import Array

_TOLD = (
    "Fraction of requests that took at most a time. The axis is stretched towards the tail: 90 %, 99 % and 99.9 % are "
    "equally far apart. Bands: 95 % intervals of percentiles, where both ends are known; shown for the first two rows, "
    "and for the row that you point at."
)


def latency_section(of: Material) -> Section | None:
    """Return the distributions; None where no requests can be read."""
    timed = [each.name for each in of.ranked.record.suite.scenario if kind(each).times_requests]
    drawn = [plot for name in timed if (plot := _plot(of, name)) is not None]
    if not drawn:
        return None
    return Section("latency", "Latency", figures(*drawn, legend(of.coloured, len(of.lines))))


def _plot(of: Material, scenario: str) -> Html | None:
    requests = {line.row: found for line in of.lines if (found := _requests(of, line.name, scenario))}
    if not requests:
        return None
    curves = {row: curve(found) for row, found in requests.items()}
    bands = {
        line.row: band(requests[line.row], _queued(of, line.name, scenario))
        for line in of.coloured
        if line.row in requests
    }
    n = sum(each.n for each in curves.values())
    title = f"Latency of the scenario {scenario}"
    told = f"{_TOLD} {n:,} requests of {len(curves)} rows."
    return figure(distributions(of.lines, curves, bands, title, told), f"{title}. {told}")


def _queued(of: Material, cell: str, scenario: str) -> bool:
    """Whether the requests of a scenario wait for one another."""
    return any(trial.queued(each.name) for trial in of.reader.trials(cell) for each in trial.windows(scenario))


def _requests(of: Material, cell: str, scenario: str) -> list[Array]:
    """Return the requests of a cell by trial; none where they are damaged, which the notes name."""
    with suppress(EvidenceError):
        return [each for each in requests_of(of.reader.trials(cell), scenario) if each.size]
    return []
