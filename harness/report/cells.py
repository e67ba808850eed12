"""The text of a cell of the table: numbers with their intervals, places with the ranks that they could be."""

import math

from harness.score.records import Measure, Ranking, Row
from harness.score.words import number, percent, short_name, text_of
from harness.spec.metrics import START_PERCENTILES, lookup
from harness.spec.policy import Policy, keys_of

_EXTRA = ("latency_p50_ms", "latency_p99_ms", "throughput_per_s", "memory_peak_mib")
_LOWER = ("fp32_agreement", "artefact_mib")
_MOST = 4
_BAR = 12
MAY_BE_BEST = "●"


def columns(ranking: Ranking, policy: Policy) -> list[str]:
    """Return the metrics that get a column: the policy's, then common ones up to four; none empty.

    Where rows have a lower precision than fp32, their agreement with it and their size come before the common ones.
    """
    known = {key for row in ranking.rows for key in row.metrics}
    own = [key for key in keys_of(policy) if key in known]
    lower = _LOWER[0] in known or any(x.code == "against_fp32" for row in ranking.rows for x in row.reasons)
    own += [key for key in _LOWER if lower and key in known and key not in own]
    more = [key for key in _EXTRA if key in known and key not in own]
    return own + more[: max(0, _MOST - len(own))]


def heading(key: str) -> tuple[str, str]:
    """Return a column's short name and unit."""
    return short_name(key), lookup(key).unit


def value(measure: Measure | None) -> str:
    """Return `value [low, high]`; a dash where it is not known.

    Without an upper end `>low [≈value]`, because the value is then not what the evidence shows; `value [?]` where
    neither end is known.
    """
    if measure is None:
        return "–"
    if measure.basis == "exact":
        return number(measure.value)
    high = math.inf if measure.high is None else measure.high
    return bounded(measure.value, measure.low or 0.0, high)


def bounded(value: float, low: float, high: float) -> str:
    """Return a value with its interval, as `value` does; an infinite end is not known."""
    text = number(value)
    if math.isfinite(high):
        return f"{text} [{number(max(low, 0.0))}, {number(high)}]"
    return f">{number(low)} [≈{text}]" if low > 0.0 else f"{text} [?]"


def place(row: Row) -> str:
    """Return the place, marked where the row may be the best; a dash where there is none."""
    return "–" if row.place is None else f"{row.place} {MAY_BE_BEST if row.may_be_best else ''}".rstrip()


def ranks(row: Row) -> str:
    """Return the ranks that the row could have: `2–5`, or `2` where there is only one; a dash where there are none."""
    if row.rank_low is None:
        return "–"
    return str(row.rank_low) if row.rank_low == row.rank_high else f"{row.rank_low}–{row.rank_high}"


def bar(row: Row, of: int) -> str:
    """Draw the ranks that the row could have among `of` places, and its own; empty where there is nothing to draw.

    One character is one place, or several where there are many: `▕·░█░··▏` is place 3 of 6, which could be 2 to 4.
    """
    if row.place is None or row.rank_low is None or row.rank_high is None or of < 2:
        return ""
    width = min(of, _BAR)
    first, own, last = ((rank - 1) * width // of for rank in (row.rank_low, row.place, row.rank_high))
    drawn = ["░" if first <= at <= last else "·" for at in range(width)]
    drawn[own] = "█"
    return f"▕{''.join(drawn)}▏"


def places(ranking: Ranking) -> int:
    """Count the rows that have a place."""
    return sum(row.place is not None for row in ranking.rows)


def trials(row: Row) -> str:
    """Return the number of trials of the row; a dash where there are none."""
    spread = ("pooled", "within", "between")
    counts = [of.trials for key, of in row.metrics.items() if of.basis in spread and key not in START_PERCENTILES]
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
    return "–" if row.p_best is None else percent(row.p_best)


ESTIMATES = {"n": trials, "score": score, "P(best)": best}
"""The columns before the metrics, by heading."""


def status(row: Row) -> str:
    """Return the status of the row, in one or two words."""
    if row.status == "failed":
        return f"failed: {row.failure}"
    if row.status in ("skipped", "undecided"):
        return row.status
    return "not eligible" if row.place is None else ""


_DETAILS = (
    *("tied", "certified", "no_upper_end", "trial_shape", "undisturbed"),
    *("against_fp32", "dynamic_ranges", "fp16_casts"),
)


def why(row: Row, most: int = 2) -> str:
    """Return the first reasons as one text, without what decides nothing; all are in `harness show RUN ROW`.

    A row that left the race shows one reason only.
    """
    plain = [reason for reason in row.reasons if reason.code not in _DETAILS and reason.severity != "warning"]
    shown = [*plain[: 1 if row.status == "dropped" else most], *row.warnings[:1]]
    return "; ".join(first_line(text_of(reason)) for reason in shown)


def first_line(text: str) -> str:
    """Return a text's first line."""
    return text.strip().splitlines()[0] if text.strip() else ""
