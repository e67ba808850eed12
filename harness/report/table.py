"""The ranked table for a terminal: two lines a row, intervals below their values, no text cut off."""

from collections.abc import Sequence, Set
from typing import NamedTuple

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from harness.report import cells
from harness.score.records import Ranking, Row
from harness.score.words import listed, short_name, text_of
from harness.spec.policy import Policy, keys_of

_STYLES = {"failed": "red", "skipped": "bright_black"}
_GAP = 3
_WHY = 32


class _Column(NamedTuple):
    """A column: its heading and its texts, one a row; an interval is on the second line."""

    heading: str
    texts: list[str]
    right: bool = True

    @property
    def width(self) -> int:
        """Width in characters, with the gap to the next column."""
        return max(cell_len(line) for text in (self.heading, *self.texts) for line in text.split("\n")) + _GAP


def ranked_table(ranking: Ranking, policy: Policy, title: str = "", width: int = 120) -> RenderableType:
    """Return the table and its notes for a terminal of `width` characters.

    Metrics that do not fit are omitted, from the right, and named in a note; so is the last column, `why`.
    """
    rows = sorted(ranking.rows, key=lambda row: row.rank is None)
    fixed = _fixed(rows)
    room = max(0, width - sum(column.width for column in fixed))
    metrics, left_out = _fitting(rows, cells.columns(ranking, policy), room, set(keys_of(policy)))
    room -= sum(column.width for column in metrics)
    shown = [*fixed, *metrics]
    if room >= _WHY:
        shown.append(_Column("why", [_why(row) for row in rows], right=False))
    notes = [*map(text_of, ranking.notes), *_left_out(left_out, why=room < _WHY)]
    return Group(_table(shown, rows, title), *(Text(f"· {note}", style="dim") for note in notes))


def _fixed(rows: Sequence[Row]) -> list[_Column]:
    return [
        _Column("#", [_two_lines(cells.rank(row)) for row in rows], right=False),
        _Column("candidate\non target", [f"{row.candidate}\n{row.target}" for row in rows], right=False),
        *(_Column(name, [_two_lines(text(row)) for row in rows]) for name, text in cells.ESTIMATES.items()),
    ]


def _fitting(rows: Sequence[Row], keys: Sequence[str], room: int, own: Set[str]) -> tuple[list[_Column], list[str]]:
    """Return the metric columns that fit, and the policy's keys that do not; other metrics leave room for `why`."""
    columns: list[_Column] = []
    for index, key in enumerate(keys):
        heading = "\n".join(filter(None, cells.heading(key)))
        column = _Column(heading, [_two_lines(cells.value(row.metrics.get(key))) for row in rows])
        if column.width + (0 if key in own else _WHY) > room:
            return columns, [key for key in keys[index:] if key in own]
        room -= column.width
        columns.append(column)
    return columns, []


def _table(columns: Sequence[_Column], rows: Sequence[Row], title: str) -> Table:
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 1))
    for column in columns:
        last = column.heading == "why"
        table.add_column(column.heading, justify="right" if column.right else "left", no_wrap=not last, overflow="fold")
    ranked = sum(row.rank is not None for row in rows)
    for index, row in enumerate(rows):
        style = "bold" if row.rank == 1 else "" if row.rank else _STYLES.get(row.status, "yellow")
        table.add_row(*(escape(column.texts[index]) for column in columns), style=style)
        if index + 1 == ranked < len(rows):
            table.add_section()
    return table


def _why(row: Row) -> str:
    """Return status and reasons; the status only where the reasons do not begin with it."""
    status, reasons = cells.status(row), cells.why(row)
    return reasons if status and reasons.startswith(status) else "; ".join(filter(None, (status, reasons)))


def _left_out(keys: Sequence[str], why: bool) -> list[str]:
    names = [short_name(key) for key in keys] + (["the reasons"] if why else [])
    return [f"not shown because the terminal is too narrow: {listed(names, most=6)}; see the report"] if names else []


def _two_lines(text: str) -> str:
    """Put an interval under its value, so that many columns fit a screen."""
    return text.replace(" [", "\n[", 1)
