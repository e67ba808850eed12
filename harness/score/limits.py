"""Hard limits: how probable is it that a row keeps each of them, and what to say where it does not."""

from __future__ import annotations

import math
from typing import NamedTuple

from harness.score.estimate import Estimate, degrees, standard_error, t_share, why_unknown
from harness.score.records import Entry, Measure
from harness.score.words import against, chance, short_name
from harness.spec.policy import Limit, Policy


class Verdict(NamedTuple):
    """What the limits say of a row: probabilities by metric (only where known), and reasons against it."""

    probabilities: dict[str, float]
    reasons: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def judge(entry: Entry, estimates: dict[str, Estimate | None], policy: Policy) -> Verdict:
    """Check every limit: it holds if its probability reaches the policy's confidence.

    A metric with one trial is judged by its value alone and gets no probability.
    """
    probabilities: dict[str, float] = {}
    reasons: list[str] = []
    remarks: list[str] = []
    for key, limit in policy.limits.items():
        found = estimates[key]
        if found is None:
            unknown = why_unknown(entry, key) or ""
            if policy.missing == "ignore":
                remarks.append(f"{unknown}: its limit was not checked")
            else:
                reasons.append(f"{unknown}, and there is a limit on it")
            continue
        p = probability(found, limit)
        if found.certain:
            probabilities[key] = p
        if p < policy.confidence:
            reasons.append(_why(entry.metrics[key], limit, key, p))
    return Verdict(probabilities, tuple(reasons), tuple(remarks))


def probability(of: Estimate, limit: Limit) -> float:
    """Give P(limit holds) from Student's distribution around the value.

    This is what resampling trials converges to as draws grow (`resample` draws from the same distribution),
    without its noise: whether a row is eligible depends on nothing but the row.
    """
    low = -math.inf if limit.min is None else limit.min
    high = math.inf if limit.max is None else limit.max
    error = standard_error(of)
    if error == 0.0:
        return float(low <= of.value <= high)
    df = degrees([(float(of.blocks @ of.blocks), of.df), (of.own**2, of.own_df), (_rows(of), math.inf)])
    centre = math.log(of.value) if of.log else of.value
    below, above = ((_bound(end, of.log) - centre) / error for end in (low, high))
    return max(0.0, t_share(above, df) - t_share(below, df))


def _rows(of: Estimate) -> float:
    return float(of.rows @ of.rows)


def _bound(end: float, log: bool) -> float:
    if not log or end == math.inf:
        return end
    return math.log(end) if end > 0 else -math.inf


def _why(measure: Measure, limit: Limit, key: str, p: float) -> str:
    """Say which side is broken; if neither is, which side is nearer and so not certain."""
    value, low, high = measure.value, limit.min, limit.max
    if high is not None and value > high:
        return _say(measure, key, "exceeds", high)
    if low is not None and value < low:
        return _say(measure, key, "is below", low)
    doubt = f" ({chance(p)})"
    if low is None or (high is not None and high - value < value - low):
        return _say(measure, key, "is not certainly at most", high or 0.0) + doubt
    return _say(measure, key, "is not certainly at least", low) + doubt


def _say(measure: Measure, key: str, verb: str, bound: float) -> str:
    value, end = against(measure, bound, key)
    return f"{short_name(key)} {value} {verb} {end}"
