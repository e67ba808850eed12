"""The reasons for the place of one row, as lines of text, from a ranking alone."""

import numpy as np

from harness.score.compare import beyond_margin, tie_margin
from harness.score.records import Ranking, Row
from harness.score.weights import single_log_metric, weighting_of
from harness.score.words import against, amount, chance, listed, measured, name_of, percent, short_name, text_of
from harness.spec.policy import Policy


def explain(ranking: Ranking, policy: Policy, row: Row) -> list[str]:
    """Give limits kept or broken and by how much, ties, favourable weights, and what would change the place."""
    if row.status in ("failed", "skipped"):
        return [f"{name_of(row)} is not ranked: {row.status}", *map(text_of, row.reasons)]
    first = next((each for each in ranking.rows if each.place == 1), None)
    return [
        _headline(row, ranking),
        *map(text_of, row.reasons),
        *(line for key in policy.limits for line in _limit(row, policy, key)),
        *_objectives(row, first, policy),
        *_against_first(row, first, policy),
        *_weights(row, policy),
    ]


def _headline(row: Row, ranking: Ranking) -> str:
    if row.place is None:
        return f"{name_of(row)} is not eligible"
    place = f"place {row.place} of {sum(each.place is not None for each in ranking.rows)}"
    if row.rank_high != row.rank_low:
        place += f", could be {row.rank_low}–{row.rank_high}"
    state = f", {row.status}" if row.status in ("undecided", "dropped") else ""
    score = "" if row.score is None else f"; score {row.score:.3f}{_ends(row.score_low, row.score_high)}"
    best = "" if row.p_best is None else f"; best in {percent(row.p_best)} of draws"
    return f"{name_of(row)}: {place}{state}{score}{best}"


def _ends(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"


def _limit(row: Row, policy: Policy, key: str) -> list[str]:
    """Say of one limit whether it held, with what probability, and by what margin."""
    limit, measure = policy.limits[key], row.metrics.get(key)
    if measure is None:
        return []
    lines = []
    for bound, sign, wish in ((limit.max, 1.0, "at most"), (limit.min, -1.0, "at least")):
        if bound is None:
            continue
        short, p = (measure.value - bound) * sign, row.limits.get(key)
        state, (value, end) = _state(row, p, policy, key), against(measure, bound, key)
        found = f"{state} ({chance(p)}), {value}, {_distance(short, bound, key)}"
        lines.append(f"limit {short_name(key)} {wish} {end}: {found}")
    return lines


def _state(row: Row, p: float | None, policy: Policy, key: str) -> str:
    if any(reason.code == "limit_broken" and reason.data.get("metric") == key for reason in row.reasons):
        return "broken"
    return "holds" if p is not None and p >= policy.confidence else "undecided"


def _distance(short: float, bound: float, key: str) -> str:
    """Say by how much a value misses its bound (positive) or keeps it."""
    relative = f" ({percent(abs(short / bound))})" if bound else ""
    return f"{'missed by' if short > 0 else 'kept by'} {amount(abs(short), key, 2)}{relative}"


def _objectives(row: Row, first: Row | None, policy: Policy) -> list[str]:
    """Give each objective's utility, and the difference to the first row or to the target."""
    lines = []
    for key, objective in policy.objectives.items():
        own, measure = row.utilities.get(key), row.metrics.get(key)
        if own is None or measure is None:
            lines.append(f"{short_name(key)}: not known")
            continue
        line = f"{short_name(key)} {measured(measure, key)}: utility {own:.2f}"
        if first is not None and first is not row and key in first.utilities and key in first.metrics:
            other = f"{name_of(first)} ({amount(first.metrics[key].value, key)})"
            line += f", {_signed(own - first.utilities[key], 2)} to {other}"
        elif own < 1:
            line += f"; 1 would need {amount(objective.target, key)}"
        lines.append(line)
    return lines


def _against_first(row: Row, first: Row | None, policy: Policy) -> list[str]:
    """Say how far the first row is ahead, whether they are told apart, and what would do it."""
    if first is None or row.gap is None:
        return []
    ahead = f"score {_signed(row.gap, 3)}{_ends(row.gap_low, row.gap_high)} to {name_of(first)}"
    if row.gap_high is None:
        return [f"{ahead}: its uncertainty is not known, because they share fewer than two blocks"]
    if name_of(first) not in not_told_apart(row):
        return [f"{ahead}: told apart"]
    if _within_margin(row, first, policy):
        on = "score" if single_log_metric(policy) is None else "logarithm"
        return [f"{ahead}: within the tie margin, {tie_margin(policy)} of the {on}"]
    tie = f"{ahead}: not told apart"
    if "undecided" in (row.status, first.status):
        return [f"{tie}, because {name_of(row if row.status == 'undecided' else first)} is undecided"]
    if row.blocks_to_settle is None or row.blocks is None:
        return [f"{tie}, and more blocks would not do it"]
    return [f"{tie}; about {row.blocks_to_settle - row.blocks} more blocks would do it if the difference remains"]


def not_told_apart(row: Row) -> tuple[str, ...]:
    """Name the rows that a row is not told apart from."""
    said = (reason.data.get("rows") for reason in row.reasons if reason.code == "tied")
    return tuple(str(name) for names in said if isinstance(names, list) for name in names)


def _within_margin(row: Row, first: Row, policy: Policy) -> bool:
    """Judge two rows as `compare.beyond_margin` does all pairs."""
    both = [key for key in weighting_of(policy, policy.objectives).keys if key in row.metrics and key in first.metrics]
    values = {key: np.array([each.metrics[key].value for each in (row, first)]) for key in both}
    scores = np.array([row.score or 0.0, first.score or 0.0])
    return not values or not bool(beyond_margin(scores, values, policy)[0, 1])


def _signed(value: float, decimals: int) -> str:
    text = f"{value:+.{decimals}f}"
    return "equal" if float(text) == 0.0 else text


def _weights(row: Row, policy: Policy) -> list[str]:
    """Say under which weights the row is first: their fraction of all weights, and their mean."""
    if row.acceptability is None or len(weighting_of(policy, policy.objectives).keys) < 2:
        return []
    if row.central_weights is None:
        return ["first under none of the weights tried"]
    ranked = sorted(row.central_weights.items(), key=lambda item: -item[1])
    mean = listed((f"{short_name(key)} {percent(weight)}" for key, weight in ranked), most=9)
    return [f"first under {percent(row.acceptability[0])} of all weights, on average with {mean}"]
