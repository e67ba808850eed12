"""The text of a cell of the table: numbers with their intervals, ranks with their ties."""

from harness.score.records import Measure, Ranking, Row
from harness.score.words import number, short_name, text_of
from harness.spec.metrics import lookup
from harness.spec.policy import Policy, keys_of

_EXTRA = ("latency_p50_ms", "latency_p99_ms", "throughput_per_s", "memory_peak_mib")
_MOST = 4


def columns(ranking: Ranking, policy: Policy) -> list[str]:
    """Return the metrics that get a column: the policy's, then common ones up to four; none empty."""
    known = {key for row in ranking.rows for key in row.metrics}
    own = [key for key in keys_of(policy) if key in known]
    more = [key for key in _EXTRA if key in known and key not in own]
    return own + more[: max(0, _MOST - len(own))]


def heading(key: str) -> tuple[str, str]:
    """Return a column's short name and unit."""
    return short_name(key), lookup(key).unit


def value(measure: Measure | None) -> str:
    """Return `value [low, high]`; `>value` without an upper bound; a dash where it is not known."""
    if measure is None:
        return "–"
    text = number(measure.value)
    if measure.basis == "exact":
        return text
    if measure.high is None:
        return f">{text}" if measure.trials > 1 else f"{text} [?]"
    return f"{text} [{number(measure.low or 0)}, {number(measure.high)}]"


def rank(row: Row) -> str:
    """Return the rank, `=` if it is shared, and the interval of the rank; a dash where there is none."""
    if row.rank is None:
        return "–"
    text = f"{row.rank}=" if row.tie else str(row.rank)
    return text if row.rank_low == row.rank_high else f"{text} [{row.rank_low}, {row.rank_high}]"


def trials(row: Row) -> str:
    """Return the number of trials (fresh processes) of the row; a dash where there are none."""
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


ESTIMATES = {"n": trials, "score": score, "P(best)": best}
"""The columns before the metrics, by heading."""


def status(row: Row) -> str:
    """Return the status of the row, in one or two words."""
    if row.status == "failed":
        return f"failed: {row.failure}"
    if row.status == "skipped":
        return row.status
    return "" if row.eligible else "not eligible"


def why(row: Row, most: int = 2) -> str:
    """Return the first reasons as one text, without ties (see the rank); the rest is in `harness show`.

    A row that left the race shows one reason only.
    """
    plain = [reason for reason in row.reasons if reason.code != "tied" and reason.severity != "warning"]
    shown = [*plain[: 1 if row.status == "dropped" else most], *row.warnings[:1]]
    return "; ".join(first_line(text_of(reason)) for reason in shown)


def first_line(text: str) -> str:
    """Return a text's first line."""
    return text.strip().splitlines()[0] if text.strip() else ""
