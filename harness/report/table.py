"""The ranked table for a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from harness.report import cells
from harness.score.records import Ranking, Row
from harness.spec.policy import Policy

_STYLES = {"failed": "red", "skipped": "bright_black", "dropped": "bright_black"}


def ranked_table(ranking: Ranking, policy: Policy, title: str = "") -> RenderableType:
    """Return the table and its notes as something rich can print."""
    keys = cells.columns(ranking, policy)
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("#", no_wrap=True)
    table.add_column("candidate", no_wrap=True)
    table.add_column("target", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("score", justify="right", min_width=5)
    table.add_column("P(best)", justify="right", no_wrap=True)
    for key in keys:
        table.add_column(escape(cells.heading(key)), justify="right")
    table.add_column("why", ratio=1, min_width=40)
    ranked, rest = cells.groups(ranking.rows)
    for row in ranked:
        table.add_row(*_row(row, keys), style="bold" if row.rank == 1 else "")
    if ranked and rest:
        table.add_section()
    for row in rest:
        table.add_row(*_row(row, keys), style=_STYLES.get(row.status, "yellow"))
    return Group(table, *(Text(f"· {note}", style="dim") for note in ranking.notes))


def _row(row: Row, keys: list[str]) -> list[str]:
    status = cells.status(row)
    reasons = cells.why(row)
    why = reasons if status and reasons.startswith(status) else "; ".join(filter(None, (status, reasons)))
    texts = [
        _two_lines(cells.rank(row)),
        row.candidate,
        row.target,
        cells.trials(row),
        _two_lines(cells.score(row)),
        cells.best(row),
        *(_two_lines(cells.value(row.metrics.get(key))) for key in keys),
        why,
    ]
    return [escape(text) for text in texts]


def _two_lines(text: str) -> str:
    """Put an interval under its value, so that many columns fit a screen."""
    return text.replace(" [", "\n[", 1)
