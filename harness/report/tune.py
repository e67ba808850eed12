"""A memory sweep: cost against the tail, warm and cold, and the cheapest size that keeps the limits."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from harness.report import cells
from harness.score.records import Measure, Ranking, Row
from harness.score.words import amount, listed
from harness.spec.target import Target

COST = "cost_per_million_usd"
_KEYS = ("warm_invoke_p99_ms", "cold_total_p50_ms", "cold_total_p99_ms", COST, "cost_per_month_usd")
_OF_USERS = ("latency_p99_ms", "cold_start_rate")


def by_size(ranking: Ranking, targets: Sequence[Target]) -> list[tuple[Target, Row]]:
    """Return the rows with their targets, smallest memory first."""
    found = {row.target: row for row in ranking.rows}
    return sorted(((t, found[t.name]) for t in targets), key=lambda pair: pair[0].limits.memory_mib or 0)


def keys_of(ranking: Ranking, users: str | None) -> list[str]:
    """Return the metrics that are shown: as users see them, then warm and cold, then money."""
    own = [f"{users}.{key}" for key in _OF_USERS] if users is not None else ["latency_p99_ms"]
    return [key for key in (*own, *_KEYS) if any(key in row.metrics for row in ranking.rows)]


def tune_table(ranking: Ranking, targets: Sequence[Target], users: str | None, title: str) -> Table:
    """Return the sweep for a terminal; values with their 95 % intervals, nothing left out of the tails."""
    keys = keys_of(ranking, users)
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("MiB", "vCPU", *("\n".join(filter(None, cells.heading(key))) for key in keys), "limits"):
        table.add_column(head, justify="left" if head == "limits" else "right", overflow="fold")
    for target, row in by_size(ranking, targets):
        texts = (cells.value(row.metrics.get(key)).replace(" [", "\n[", 1) for key in keys)
        cpus = target.granted.cpus or 0.0
        table.add_row(*map(escape, (f"{target.limits.memory_mib:,}", f"{cpus:.2f}", *texts, standing(row))))
    return table


def standing(row: Row) -> str:
    """Say whether a row keeps the limits."""
    if row.status in ("failed", "skipped"):
        return f"{row.failure or row.status}"
    if row.eligible:
        return "kept"
    return "undecided" if row.status == "undecided" else "broken"


def verdict(ranking: Ranking, targets: Sequence[Target]) -> str:
    """Name the cheapest size that keeps the limits, and those that the evidence does not tell from it in cost."""
    costed = [(target.limits.memory_mib or 0, row) for target, row in by_size(ranking, targets) if COST in row.metrics]
    kept = {size: row.metrics[COST] for size, row in costed if row.eligible}
    if kept:
        return f"cheapest that keeps the limits: {_cheapest(kept)}"
    may = {size: row.metrics[COST] for size, row in costed if row.status == "undecided"}
    if may:
        return f"no size is certain to keep the limits; cheapest of those that may: {_cheapest(may)}"
    return "no size keeps the limits at a cost that is known"


def _cheapest(costs: Mapping[int, Measure]) -> str:
    best = min(costs, key=lambda size: costs[size].value)
    near = [size for size, cost in costs.items() if size != best and _overlap(cost.low, costs[best].high)]
    text = f"{best:,} MiB, {amount(costs[best].value, COST)} per million"
    return text + (f"; not told apart in cost from {listed([f'{size:,} MiB' for size in near])}" if near else "")


def _overlap(low: float | None, high: float | None) -> bool:
    return low is None or high is None or low <= high
