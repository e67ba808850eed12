"""The policy of a run without a suite: which latency percentile ranks it."""

from collections.abc import Sequence

from harness.score.estimate import estimate
from harness.score.records import Entry
from harness.score.settle import to_bound
from harness.score.words import listed, name_of, needs, short_name
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.metrics import PERCENTILES
from harness.spec.policy import Policy, wide

WISHED = "latency_p99_ms"
_LADDER = tuple(key for key, p in sorted(PERCENTILES.items(), key=lambda item: -item[1]) if p <= PERCENTILES[WISHED])


def choose(entries: Sequence[Entry]) -> tuple[Policy, Diagnostic]:
    """Rank by p99 where every row measured to the end bounds it, else by the highest percentile that all bound.

    Where no percentile is bounded for all rows: by the lowest, p50. Returns the policy and a note that says which
    percentile was taken, and why.
    """
    rows = [entry for entry in entries if entry.status == "measured"]
    key = next((each for each in _LADDER if all(_bounded(row, each) for row in rows)), _LADDER[-1])
    return wide(key), diagnostic("ranked_by", _why(rows, key), metric=key)


def _why(rows: Sequence[Entry], key: str) -> str:
    said = f"ranked by {short_name(key)}"
    short = [row for row in rows if not _bounded(row, WISHED)]
    if not short:
        return said
    missing = [(row.metrics[WISHED], row) for row in short if WISHED in row.metrics]
    wanted = [more for measure, _ in missing if (more := to_bound(measure, WISHED)).requests is not None]
    most = f", which needs {needs(max(wanted, key=lambda more: more.requests or 0))}" if wanted else ""
    names = listed(name_of(row) for row in short)
    known = "the highest that all rows bound" if all(_bounded(row, key) for row in rows) else "which not all rows bound"
    return f"{said}, {known}: too few requests for {short_name(WISHED)} of {names}{most}"


def _bounded(entry: Entry, key: str) -> bool:
    found = estimate(entry, key)
    return found is not None and found.certain and found.bounded
