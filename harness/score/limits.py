"""The limits of a policy against one row: kept, broken, or not decided by the evidence yet."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from harness.score.estimate import (
    Estimate,
    degrees,
    saturated,
    saturation,
    standard_error,
    t_cdf,
    variances,
    why_unknown,
)
from harness.score.records import Entry, Measure, More
from harness.score.settle import to_bound, to_judge
from harness.score.words import against, amount, chance, needs, short_name
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.policy import Limit, Policy


class Question(NamedTuple):
    """What the evidence cannot judge yet, and what would settle it.

    `text` goes before "needs ..."; `otherwise` after it, where nothing is known to settle the question.
    """

    key: str
    text: str
    more: More
    otherwise: str
    bound: float | None = None
    probability: float | None = None


class LimitsCheck(NamedTuple):
    """P(limit holds) by metric (only where known), the reasons against the row, remarks, and open questions."""

    probabilities: dict[str, float]
    reasons: tuple[Diagnostic, ...] = ()
    remarks: tuple[Diagnostic, ...] = ()
    questions: tuple[Question, ...] = ()


def check_limits(entry: Entry, estimates: Mapping[str, Estimate | None], policy: Policy) -> LimitsCheck:
    """Check every limit: kept or broken with the policy's confidence, else an open question."""
    check = LimitsCheck({})
    for key, limit in policy.limits.items():
        found = estimates[key]
        if found is None:
            check = _unknown(check, entry, key, policy)
            continue
        broken = certainly_broken(found, limit, 1.0 - policy.confidence)
        if broken or (found.certain and (limit.max is None or not found.thin)):
            check.probabilities[key] = probability(found, limit)
        p = check.probabilities.get(key)
        if broken:
            reason = _broken(entry.metrics[key], limit, key, probability(found, limit))
            check = check._replace(reasons=(*check.reasons, reason))
        elif p is None or p < policy.confidence:
            question = _question(found, entry.metrics[key], key, limit, policy.confidence)
            check = check._replace(questions=(*check.questions, question))
    return check


def certainly_broken(found: Estimate, limit: Limit, level: float) -> bool:
    """Whether P(limit holds) is below `level`. What is thin can only break an upper bound.

    A value within the limit breaks nothing, though an interval much wider than both bounds makes that P small.
    """
    inside = not _is_outside(found.value, limit)
    if not found.certain or inside or (found.thin and (limit.max is None or found.value <= limit.max)):
        return False
    return probability(found, limit) < level


def _is_outside(value: float, limit: Limit) -> bool:
    return (limit.max is not None and value > limit.max) or (limit.min is not None and value < limit.min)


def probability(of: Estimate, limit: Limit) -> float:
    """Give P(limit holds) from Student's distribution around the value.

    Resampling trials (`resample`) converges to the same value as draws grow. This one has no noise, so that
    eligibility depends on the row alone.
    """
    low = -math.inf if limit.min is None else limit.min
    high = math.inf if limit.max is None else limit.max
    error = standard_error(of)
    if error == 0.0:
        return float(low <= of.value <= high)
    df = degrees(variances(of))
    centre = math.log(of.value) if of.log else of.value
    below, above = ((_bound(end, of.log) - centre) / error for end in (low, high))
    return max(0.0, t_cdf(above, df) - t_cdf(below, df))


def open_objective(found: Estimate, measure: Measure, key: str) -> Question | None:
    """Ask for what is not known of an objective's spread; None where it is known."""
    return None if found.settled else _unbounded(measure, key)


def no_upper_end(measure: Measure, key: str) -> Diagnostic:
    """Say that a percentile has no upper end, though its requests are enough, and what would give it one."""
    more = to_bound(measure, key)
    text = f"{short_name(key)} has no upper end, because trials differ"
    if wanted := needs(more):
        text += f": {wanted} would give it one, if they go on as before"
    return diagnostic("no_upper_end", text, metric=key, more_requests=more.requests, more_blocks=more.blocks)


def _unknown(check: LimitsCheck, entry: Entry, key: str, policy: Policy) -> LimitsCheck:
    unknown = why_unknown(entry, key) or ""
    if saturation(entry, key) is not None:
        return check._replace(reasons=(*check.reasons, diagnostic("limit_broken", unknown, metric=key)))
    if policy.missing == "ignore" and saturated(entry, key) is None:
        remark = diagnostic("limit_unchecked", f"{unknown}: its limit was not checked", metric=key)
        return check._replace(remarks=(*check.remarks, remark))
    reason = diagnostic("metric_unknown", f"{unknown}, and there is a limit on it", metric=key)
    return check._replace(reasons=(*check.reasons, reason))


def _bound(end: float, log: bool) -> float:
    if not log or end == math.inf:
        return end
    return math.log(end) if end > 0 else -math.inf


def _question(found: Estimate, measure: Measure, key: str, limit: Limit, confidence: float) -> Question:
    """Ask whether a limit holds: for the end that is missing, else for a narrower interval."""
    value, low, high = measure.value, limit.min, limit.max
    upper = low is None or (high is not None and abs(high - value) <= abs(value - low))
    bound = high if upper and high is not None else low or 0.0
    if not found.settled:
        return _unbounded(measure, key)._replace(bound=bound)
    p, side = probability(found, limit), "at most" if upper else "at least"
    text, end = against(measure, bound, key)
    said = f"{short_name(key)} {text} may be {side} {end} or not ({chance(p)}):"
    more = to_judge(found, measure, key, limit, confidence)
    return Question(key, said, more, "more of the same would hardly tell", bound, p)


def _unbounded(measure: Measure, key: str) -> Question:
    text = f"{short_name(key)} (so far {amount(measure.value, key)})"
    return Question(key, text, to_bound(measure, key), "is not bounded yet")


def _broken(measure: Measure, limit: Limit, key: str, p: float) -> Diagnostic:
    """Name the side that is broken."""
    value, low, high = measure.value, limit.min, limit.max
    if high is not None and value > high:
        verb, bound = "exceeds", high
    else:
        verb, bound = "is below", low or 0.0
    text, end = against(measure, bound, key)
    message = f"{short_name(key)} {text} {verb} {end}"
    return diagnostic("limit_broken", message, metric=key, value=value, bound=bound, probability=p)
