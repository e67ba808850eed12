"""The ranked table for a terminal: two lines a row, intervals below their values, no text cut off."""

from collections.abc import Sequence, Set
from typing import NamedTuple

import msgspec
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
_BELOW = tuple(_STYLES)
_BEST = "bold white on grey23"  # the rows that may be the best, as one set; legible on light and dark terminals
_GAP = 3
_WHY = 32
_NARROW, _NAME, _NARROW_NAME = 100, 32, 24
_LEGEND = f"{cells.MAY_BE_BEST} may be the best. Could be: the ranks a row could have (95 %, for all rows at once)"


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
    """Return the table and its notes for a terminal of `width` characters; rows without results are listed below.

    Metrics that do not fit are omitted, from the right, and named in a note; so is the last column, `why`.
    """
    below = [row for row in ranking.rows if row.status in _BELOW]
    ranking = msgspec.structs.replace(ranking, rows=tuple(row for row in ranking.rows if row.status not in _BELOW))
    rows = ranking.rows
    narrow = width < _NARROW
    fixed = _fixed(ranking, narrow)
    room = max(0, width - sum(column.width for column in fixed))
    metrics, left_out = _fitting(rows, cells.columns(ranking, policy), room, set(keys_of(policy)))
    room -= sum(column.width for column in metrics)
    why = room >= _WHY
    last = [_Column("why", [_why(row) for row in rows], right=False)] if why else []
    shown = [*(fixed if why else _with_status(fixed, rows)), *metrics, *last]
    legend = [_LEGEND] if cells.places(ranking) > 1 else []
    omitted = [*(cells.ESTIMATES if narrow else ()), *map(short_name, left_out), *([] if why else ["the reasons"])]
    notes = [*legend, *map(text_of, ranking.notes), *_left_out(omitted)]
    table: RenderableType = _table(shown, rows, title) if rows else Text(title, style="italic")
    listing: list[RenderableType] = [_listing(below), Text()] if below else []
    return Group(table, *listing, *(Text(f"· {note}", style="dim") for note in notes))


def _listing(rows: Sequence[Row]) -> Table:
    """Name rows without results, with the reason; those of one target with the same reason together."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.target, cells.status(row), cells.why(row)), []).append(row)
    table = Table.grid(padding=(0, 2, 0, 1))
    for (target, status, why), those in groups.items():
        names = ", ".join(row.candidate for row in those)
        style = _STYLES[those[0].status]
        table.add_row(escape(status), Text(f"{names} on {target}\n{why}".rstrip(), overflow="fold"), style=style)
    return table


def _fixed(ranking: Ranking, narrow: bool) -> list[_Column]:
    """Return the columns before the metrics; a narrow table has fewer."""
    rows, of, most = ranking.rows, cells.places(ranking), _NARROW_NAME if narrow else _NAME
    names = [f"{_folded(row.candidate, most)}\n{_folded(row.target, most)}" for row in rows]
    could_be = [f"{cells.ranks(row)}\n{cells.bar(row, of)}".rstrip() for row in rows]
    estimates = {} if narrow else cells.ESTIMATES
    return [
        _Column("#", [cells.place(row) for row in rows], right=False),
        _Column("candidate\non target", names, right=False),
        *([_Column("could be", could_be, right=False)] if of > 1 else []),
        *(_Column(name, [_two_lines(text(row)) for row in rows]) for name, text in estimates.items()),
    ]


def _with_status(fixed: Sequence[_Column], rows: Sequence[Row]) -> list[_Column]:
    """Put the status under the names, where there is no room for reasons."""
    states = [cells.status(row) for row in rows]
    names = [f"{text}\n{state}".rstrip() for text, state in zip(fixed[1].texts, states, strict=True)]
    return [fixed[0], fixed[1]._replace(texts=names), *fixed[2:]]


def _folded(name: str, most: int) -> str:
    """Break a long name into lines."""
    return "\n".join(name[start : start + most] for start in range(0, len(name), most))


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
    table = Table(
        title=escape(title) or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 1)
    )
    for column in columns:
        last = column.heading == "why"
        table.add_column(
            escape(column.heading), justify="right" if column.right else "left", no_wrap=not last, overflow="fold"
        )
    ranked = sum(row.place is not None for row in rows)
    for index, row in enumerate(rows):
        style = _BEST if row.may_be_best else "" if row.place else "yellow"
        table.add_row(*(escape(column.texts[index]) for column in columns), style=style)
        if index + 1 == ranked < len(rows):
            table.add_section()
    return table


def _why(row: Row) -> str:
    """Return status and reasons; the status only where the reasons do not begin with it."""
    status, reasons = cells.status(row), cells.why(row)
    return reasons if status and reasons.startswith(status) else "; ".join(filter(None, (status, reasons)))


def _left_out(names: Sequence[str]) -> list[str]:
    return [f"not shown because the terminal is too narrow: {listed(names, most=9)}; see the report"] if names else []


def _two_lines(text: str) -> str:
    """Put an interval under its value, so that many columns fit a screen."""
    return text.replace(" [", "\n[", 1)
