"""What stands in a cell of the table: numbers with their intervals, ranks with their ties. Text only."""

from __future__ import annotations

from collections.abc import Sequence

from harness.score.records import Measure, Ranking, Row
from harness.score.words import number, short_name
from harness.spec.metrics import lookup
from harness.spec.policy import Policy, keys_of

_EXTRA = ("latency_p50_ms", "latency_p99_ms", "throughput_per_s", "memory_peak_mib")
_MOST = 4


def columns(ranking: Ranking, policy: Policy) -> list[str]:
    """Return the metrics worth a column: the policy's, then usual ones until there are four; none empty."""
    known = {key for row in ranking.rows for key in row.metrics}
    own = [key for key in keys_of(policy) if key in known]
    more = [key for key in _EXTRA if key in known and key not in own]
    return own + more[: max(0, _MOST - len(own))]


def heading(key: str) -> tuple[str, str]:
    """Return a column's short name and unit."""
    return short_name(key), lookup(key).unit


def value(measure: Measure | None) -> str:
    """Return `value [low, high]`; an unbounded upper end is printed `>value`; nothing known is a dash."""
    if measure is None:
        return "–"
    text = number(measure.value)
    if measure.basis == "exact":
        return text
    if measure.high is None:
        return f">{text}" if measure.trials > 1 else f"{text} [?]"
    low = number(measure.low) if measure.low is not None else "0"
    return f"{text} [{low}, {number(measure.high)}]"


def rank(row: Row) -> str:
    """Return the rank, `=` if it is shared, and the ranks the row may truly have; a dash where there is none."""
    if row.rank is None:
        return "–"
    text = f"{row.rank}=" if row.tie else str(row.rank)
    return text if row.rank_low == row.rank_high else f"{text} [{row.rank_low}, {row.rank_high}]"


def trials(row: Row) -> str:
    """Return how many trials (fresh processes) are behind the row; a dash where there are none."""
    counts = [measure.trials for measure in row.metrics.values() if measure.basis in ("within", "between")]
    return str(max(counts)) if counts else "–"


def score(row: Row) -> str:
    """Return the score with its interval; a dash where there is none."""
    if row.score is None:
        return "–"
    text = f"{row.score:.3f}"
    if row.score_low is None or row.score_high is None:
        return text
    return f"{text} [{row.score_low:.3f}, {row.score_high:.3f}]"


def best(row: Row) -> str:
    """Return P(best); a dash where it is not known."""
    if row.p_best is None:
        return "–"
    if 0 < row.p_best < 0.01:
        return "<1 %"
    return f"{row.p_best:.0%}".replace("%", " %")


def status(row: Row) -> str:
    """Return what became of the row, in one or two words."""
    if row.status == "failed":
        return f"failed: {row.failure}"
    if row.status == "skipped":
        return row.status
    return "" if row.eligible else "not eligible"


def why(row: Row, most: int = 2) -> str:
    """Return the first reasons as one text; ties are left to the rank, the rest to `harness show`.

    A row that left the race needs no more than that.
    """
    said = [reason for reason in row.reasons if not reason.startswith("ties with ")]
    flagged = [reason for reason in said if reason.startswith("flagged: ")][:1]
    plain = [reason for reason in said if not reason.startswith("flagged: ")]
    return "; ".join(first_line(reason) for reason in [*plain[: 1 if row.status == "dropped" else most], *flagged])


def first_line(text: str) -> str:
    """Return a text's first line."""
    return text.strip().splitlines()[0] if text.strip() else ""


def groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Split rows into the ranked, and the rest."""
    ranked = [row for row in rows if row.rank is not None]
    return [ranked, [row for row in rows if row.rank is None]]
