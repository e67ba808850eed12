"""The replicas of each row for a load: a table for a terminal, and what was assumed."""

import math
from collections.abc import Iterable, Sequence
from statistics import median

from rich import box
from rich.markup import escape
from rich.table import Table

from harness.analyse.capacity import Fleet, Load
from harness.analyse.foretold import Foretold
from harness.analyse.measured_capacity import MeasuredCapacity
from harness.cost.hourly import HOURS_PER_MONTH
from harness.report.cells import bounded
from harness.score.words import listed, number, percent, short_name

_DISPATCH = {
    "random": "each request goes to any replica at random, so that each replica has a queue of its own",
    "shared": "one queue feeds all replicas",
}


def capacity_table(fleets: Sequence[Fleet], load: Load) -> Table:
    """Return the fleets, a row each; intervals are on the second line of a cell."""
    name = short_name(load.key)
    title = f"for {number(load.rate_per_s)} requests per second, {name} at most {number(load.limit_ms)} ms"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    heads = ("candidate\non target", "replicas", "USD\na month", f"predicted {name}\nms", "busy", "predicted from", "")
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if 0 < place < 5 else "left", overflow="fold")
    for fleet in fleets:
        table.add_row(*map(escape, _texts(fleet)))
    return table


def _texts(fleet: Fleet) -> Iterable[str]:
    latency = fleet.latency_ms
    yield f"{fleet.cell.candidate.name}\n{fleet.cell.target.name}"
    yield _replicas(fleet)
    yield "–" if fleet.usd_per_month is None else number(fleet.usd_per_month)
    yield "–" if latency is None else bounded(latency.value, latency.low, latency.high).replace(" [", "\n[", 1)
    yield "–" if fleet.utilisation is None else percent(fleet.utilisation)
    yield f"{fleet.scenario}\nn = {fleet.requests} in {fleet.trials}" if fleet.trials else "–"
    yield fleet.why


def _replicas(fleet: Fleet) -> str:
    if fleet.replicas is None:
        return "–"
    low, high = ("?" if end is None else str(end) for end in (fleet.low, fleet.high))
    return f"{fleet.replicas}\n[{low}, {high}]"


def validation(found: Sequence[Foretold], load: Load) -> list[str]:
    """Return how predictions compare with the open loops that the run measured."""
    name = short_name(load.key)
    if not found:
        return [f"not validated: the run measured no {name} in an open loop (scenario kind server)"]
    return [_validated(each, name) for each in found]


def _validated(of: Foretold, name: str) -> str:
    where = f"{of.cell.name} at {number(of.rate_per_s)}/s ({percent(of.utilisation)} busy, {of.scenario})"
    text = f"{where}: predicted ÷ measured {name} {_ratios(of.own)} from its own service times"
    text += f", {_ratios(of.rest)} from {listed(of.source)}" if of.source else ""
    return f"{text}; n = {of.requests} in {len(of.own)}"


def _ratios(of: Sequence[float]) -> str:
    """Write the median ratio, and the range over processes."""
    low, middle, high = (f"{each:.2f}" if math.isfinite(each) else "∞" for each in (min(of), median(of), max(of)))
    return f"{middle} [{low}, {high}]"


def measured_line(of: MeasuredCapacity) -> str:
    """Return what a capacity was measured to be, beside its prediction."""
    known, limit = of.found, f"{short_name(of.scenario.key)} at most {number(of.scenario.limit_ms)} ms"
    low, high = (known.low or 0.0), (math.inf if known.high is None else known.high)
    text = (
        f"{of.cell.name}, {limit}: {bounded(known.value, low, high)} per second measured (scenario {of.scenario.name}"
    )
    text += f", n = {known.n} in {known.trials})"
    if of.predicted is None:
        return f"{text}, no prediction"
    told = bounded(of.predicted.value, of.predicted.low, of.predicted.high)
    return f"{text}, {told} predicted from {listed(of.source)}"


def assumptions(load: Load) -> list[str]:
    """Return what the numbers rest on."""
    return [
        "predicted by a queueing simulation from measured service times: Poisson arrivals, first come, first served",
        f"dispatch: {_DISPATCH[load.dispatch]} (--dispatch)",
        f"a month: {HOURS_PER_MONTH} hours at the target's hourly price, whether busy or not",
        "[low, high]: 95 % intervals over processes",
    ]
