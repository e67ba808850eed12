"""`harness show RUN ROW`: the row that a person means."""

from harness.errors import SpecError
from harness.score.records import Ranking, Row
from harness.score.words import name_of
from harness.spec.metrics import nearest


def find_row(ranking: Ranking, name: str) -> Row:
    """Return a row by its place, its name, or a part of exactly one name.

    Raises SpecError if no row, or several, match.
    """
    ranked, rows = [row for row in ranking.rows if row.place is not None], {name_of(row): row for row in ranking.rows}
    if name.isdecimal() and 1 <= int(name) <= len(ranked):
        return ranked[int(name) - 1]
    found = [name] if name in rows else [full for full in rows if name in full]
    if len(found) == 1:
        return rows[found[0]]
    if found:
        raise SpecError("ROW", f"'{name}' is part of {len(found)} rows", ", ".join(found))
    mend = nearest(name, rows)
    if name.isdecimal():
        mend = f"give a place from 1 to {len(ranked)}" if ranked else f"no row has a place; {mend}"
    raise SpecError("ROW", f"there is no row '{name}'", mend)
