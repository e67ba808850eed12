"""Why one row stands where it stands, in plain words, from a ranking alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.score.assess import ONE_TRIAL
from harness.score.compare import TIE_MARGIN, TIE_MARGIN_LOG, beyond_margin, by_ratio
from harness.score.estimate import Floats
from harness.score.records import Measure, Ranking, Row
from harness.score.words import chance, interval, listed, name_of, number, percent, short_name, with_unit
from harness.spec.policy import Policy


def explain(ranking: Ranking, policy: Policy, row: Row) -> list[str]:
    """Say what held, what failed and by how much, ties, weights that favour it, and what would change it."""
    if row.status in ("failed", "skipped"):
        return [f"{name_of(row)} is not ranked: {row.status}", *row.reasons]
    first = next((each for each in ranking.rows if each.eligible), None)
    parts: tuple[Callable[[], list[str]], ...] = (
        lambda: [_headline(row, ranking)],
        lambda: [*row.reasons, *row.remarks],
        lambda: _limits(row, policy),
        lambda: _objectives(row, first, policy),
        lambda: _against_first(row, first, policy),
        lambda: _weights(row, policy),
    )
    return [line for part in parts for line in part()]


def _headline(row: Row, ranking: Ranking) -> str:
    if not row.eligible:
        return f"{name_of(row)} is not eligible"
    among = sum(each.eligible for each in ranking.rows)
    rank = f"rank {row.rank} of {among}"
    if row.rank_high is not None and row.rank_high != row.rank_low:
        rank += f", between {row.rank_low} and {row.rank_high}"
    score = "" if row.score is None else f"; score {row.score:.3f}{_ends(row.score_low, row.score_high)}"
    best = "" if row.p_best is None else f"; best in {percent(row.p_best)} of draws"
    return f"{name_of(row)}: {rank}{score}{best}"


def _ends(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"


def _limits(row: Row, policy: Policy) -> list[str]:
    return [line for key in policy.limits for line in _limit(row, policy, key)]


def _limit(row: Row, policy: Policy, key: str) -> list[str]:
    """Say of one limit whether it held, how surely, and how far away the value is."""
    limit, measure = policy.limits[key], row.metrics.get(key)
    if measure is None:
        return []
    lines = []
    for bound, sign, wish in ((limit.max, 1.0, "at most"), (limit.min, -1.0, "at least")):
        if bound is None:
            continue
        short = (measure.value - bound) * sign
        p = row.limits.get(key)
        state = "broken" if short > 0 else _held(p, policy.confidence)
        lines.append(
            f"limit {short_name(key)} {wish} {with_unit(number(bound), key)}: {state} ({chance(p)}), "
            f"{_said(measure, key)}, {_distance(short, bound, key)}"
        )
    return lines


def _held(p: float | None, confidence: float) -> str:
    return "holds" if p is not None and p >= confidence else "holds, but not certainly"


def _said(measure: Measure, key: str) -> str:
    return with_unit(number(measure.value), key) + interval(measure)


def _distance(short: float, bound: float, key: str) -> str:
    """Say how far a value is on the wrong (positive) or right side of its bound."""
    far = with_unit(number(abs(short), 2), key)
    share = f" ({percent(abs(short / bound))})" if bound else ""
    return f"{far}{share} {'too bad' if short > 0 else 'to spare'}"


def _objectives(row: Row, first: Row | None, policy: Policy) -> list[str]:
    """Say each objective's utility, and what is missing there to the first row or to the target."""
    lines = []
    for key, objective in policy.objectives.items():
        own, measure = row.utilities.get(key), row.metrics.get(key)
        if own is None or measure is None:
            lines.append(f"{short_name(key)}: not known")
            continue
        line = f"{short_name(key)} {_said(measure, key)}: utility {own:.2f}"
        theirs = None if first is None or first is row else first.utilities.get(key)
        if theirs is not None and first is not None and key in first.metrics:
            other = with_unit(number(first.metrics[key].value), key)
            line += f", {_signed(own - theirs, 2)} to {name_of(first)} ({other})"
        elif own < 1:
            line += f"; 1 would need {with_unit(number(objective.target), key)}"
        lines.append(line)
    return lines


def _against_first(row: Row, first: Row | None, policy: Policy) -> list[str]:
    """Say how far the first row is ahead, whether that is certain, and what would settle it."""
    if first is None or row.gap is None:
        return []
    ahead = f"score {_signed(row.gap, 3)}{_ends(row.gap_low, row.gap_high)} to {name_of(first)}"
    if row.gap_high is None:
        return [f"{ahead}: {ONE_TRIAL}"]
    if _within_margin(row, first, policy):
        return [f"{ahead}: within the tie margin ({_margin(policy)})"]
    if row.gap_high < 0:
        return [f"{ahead}: certainly behind"]
    if row.blocks_to_settle is not None and row.blocks is not None:
        more = row.blocks_to_settle - row.blocks
        return [f"{ahead}: cannot be told apart; roughly {more} more blocks would settle it, if it stays"]
    return [f"{ahead}: cannot be told apart, and more blocks would not settle it"]


def _within_margin(row: Row, first: Row, policy: Policy) -> bool:
    """Judge two rows as `compare.beyond_margin` does all pairs."""
    keys = _wanted(policy)
    values = {key: _pair(row, first, key) for key in keys if key in row.metrics and key in first.metrics}
    scores = np.array([row.score or 0.0, first.score or 0.0])
    return not values or not bool(beyond_margin(scores, values)[0, 1])


def _pair(row: Row, first: Row, key: str) -> Floats:
    return np.array([row.metrics[key].value, first.metrics[key].value])


def _wanted(policy: Policy) -> list[str]:
    return [key for key, each in policy.objectives.items() if each.weight != 0]


def _signed(value: float, decimals: int) -> str:
    text = f"{value:+.{decimals}f}"
    return "equal" if float(text) == 0.0 else text


def _margin(policy: Policy) -> str:
    return f"{TIE_MARGIN_LOG:.0%} of the metric" if by_ratio(_wanted(policy)) else f"{TIE_MARGIN} of the score"


def _weights(row: Row, policy: Policy) -> list[str]:
    """Say under which weights the row is first: how many of all, and their middle."""
    if row.acceptability is None or len(_wanted(policy)) < 2:
        return []
    if row.central_weights is None:
        return ["first under none of the weights tried"]
    share = percent(row.acceptability[0])
    ranked = sorted(row.central_weights.items(), key=lambda item: -item[1])
    middle = listed((f"{short_name(key)} {percent(weight)}" for key, weight in ranked), most=9)
    return [f"first under {share} of all weights; typically with {middle}"]
