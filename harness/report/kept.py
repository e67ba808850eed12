"""What kept (provisioned) instances would cost and save, by row."""

from collections.abc import Iterable

from harness.score.records import Ranking, Row
from harness.score.words import name_of, number, percent
from harness.spec.diagnostics import Diagnostic

_HEAD = ("| row | kept | cold starts | p99 of users, ms | USD a month |", "|---|---:|---:|---:|---:|")


def kept(ranking: Ranking) -> str:
    """Return a table with a line for each row and number of kept instances; empty where there is none."""
    lines = [line for row in ranking.rows for of in row.reasons if of.code == "provisioned" for line in _lines(row, of)]
    return "\n".join((*_HEAD, *lines)) if lines else ""


def _lines(row: Row, of: Diagnostic) -> Iterable[str]:
    columns = [value if isinstance(value, list) else [] for value in of.data.values()]
    for count, rate, p99, usd in zip(*columns, strict=True):
        told = (number(float(each)) if isinstance(each, int | float) else "–" for each in (p99, usd))
        share = percent(float(rate), 2) if isinstance(rate, int | float) else "–"
        yield f"| {name_of(row)} | {count} | {share} | {' | '.join(told)} |"
