"""The decision in one sentence with its confidence, and what a reader must know beside it."""

from collections.abc import Callable
from typing import NamedTuple

from harness.report import cells
from harness.score.records import Ranking, Row
from harness.score.words import listed

_NAMED = 5


class Decision(NamedTuple):
    """What should serve, and how sure that is."""

    headline: str
    detail: str


def decide(ranking: Ranking, quoted: Callable[[str], str] = str) -> Decision:
    """Say which row should serve, or which may; `quoted` marks the names of candidates and targets."""
    best = [row for row in ranking.rows if row.may_be_best]
    if not best:
        return Decision("No row is eligible.", "See the reasons of each row.")
    names = [f"{quoted(row.candidate)} on {quoted(row.target)}" for row in best]
    if len(best) > 1:
        rest = f", or {listed(names[1:], _NAMED)}" if len(best) == 2 else f"; so may {listed(names[1:], _NAMED)}"
        told = f"The evidence does not tell these {len(best)} rows apart.{_chance(best[0])}"
        return Decision(f"{names[0]} may be the best{rest}.", told)
    if best[0].status == "undecided":
        return Decision(f"{names[0]} may serve, but it is undecided.", "See its reasons.")
    sure = "" if best[0].p_best is None else f": P(best) = {cells.best(best[0])}"
    return Decision(f"{names[0]} should serve{sure}.", "")


def _chance(first: Row) -> str:
    return "" if first.p_best is None else f" P(best) of the first: {cells.best(first)}."


def counts(ranking: Ranking) -> str:
    """Count the rows by what became of them: `18 rows: 14 measured to the end, 3 left the race, 1 failed`."""
    words = {
        "measured": "measured to the end",
        "undecided": "undecided",
        "dropped": "left the race early",
        "failed": "failed",
        "skipped": "skipped",
    }
    told = [f"{n} {word}" for status, word in words.items() if (n := sum(r.status == status for r in ranking.rows))]
    rows = len(ranking.rows)
    return f"{rows} row{'' if rows == 1 else 's'}: {', '.join(told)}"
