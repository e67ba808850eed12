"""One row by itself: what is known of it, whether it keeps the limits, its utilities and its score.

No function here reads other rows, so that eligibility and score of a row do not depend on the others.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.score.estimate import Estimate, degrees, estimate, standard_error, t_cdf, variances, why_unknown
from harness.score.records import Entry, Measure
from harness.score.resample import NoiseDraws, draws_of
from harness.score.weights import Weighting, utility
from harness.score.words import against, chance, short_name
from harness.spec.arrays import Floats
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.policy import Limit, Policy, keys_of

NO_RESULT = ("failed", "skipped")
ONE_TRIAL = "one trial only: its uncertainty is not known"


class LimitsCheck(NamedTuple):
    """P(limit holds) by metric (only where known), the reasons against the row, and remarks."""

    probabilities: dict[str, float]
    reasons: tuple[Diagnostic, ...]
    remarks: tuple[Diagnostic, ...] = ()


class Assessed(NamedTuple):
    """A row judged by itself; `score` is None where a metric that the policy needs is not known."""

    entry: Entry
    estimates: Mapping[str, Estimate | None]
    utilities: dict[str, float]
    check: LimitsCheck
    eligible: bool
    score: float | None

    @property
    def certain(self) -> bool:
        """False if some metric that the policy needs rests on one trial."""
        return all(each is None or each.certain for each in self.estimates.values())

    def value(self, key: str) -> float | None:
        """Return a metric that the policy names, None where it is not known."""
        found = self.estimates[key]
        return None if found is None else found.value


def assess(entry: Entry, policy: Policy, weighting: Weighting) -> Assessed:
    """Judge a row by the policy."""
    estimates = estimates_of(entry, policy)
    utilities = {
        key: float(utility(np.array([found.value]), key, objective)[0])
        for key, objective in policy.objectives.items()
        if (found := estimates[key]) is not None
    }
    check = _with_objectives(check_limits(entry, estimates, policy), entry, policy, weighting)
    eligible = entry.status not in NO_RESULT and not check.reasons
    return Assessed(entry, estimates, utilities, check, eligible, _score(utilities, policy, weighting))


def estimates_of(entry: Entry, policy: Policy) -> dict[str, Estimate | None]:
    """Estimate every metric that the policy names; nothing is known of a cell without result."""
    return {key: None if entry.status in NO_RESULT else estimate(entry, key) for key in keys_of(policy)}


def utility_draws(rows: Sequence[Assessed], key: str, policy: Policy, noise: NoiseDraws) -> Floats:
    """Draw one objective's utility for all rows jointly (rows × draws); 0 where the metric is not known."""
    out = np.zeros((len(rows), noise.draws))
    found = [(index, each) for index, row in enumerate(rows) if (each := row.estimates[key]) is not None]
    if found:
        drawn = draws_of([each for _, each in found], noise)
        out[[index for index, _ in found]] = utility(drawn, key, policy.objectives[key])
    return out


def _score(utilities: dict[str, float], policy: Policy, weighting: Weighting) -> float | None:
    """Take the weighted mean. Under `missing = "ignore"` an unknown utility counts 0, so that it is no advantage."""
    known = [key for key in weighting.keys if key in utilities]
    if not known or (len(known) < len(weighting.keys) and policy.missing != "ignore"):
        return None
    pairs = zip(weighting.keys, weighting.central, strict=True)
    return float(sum(weight * utilities.get(key, 0.0) for key, weight in pairs))


def _with_objectives(check: LimitsCheck, entry: Entry, policy: Policy, weighting: Weighting) -> LimitsCheck:
    """Add the objectives that are not known to the reasons or remarks of the limits, each metric once."""
    unknown = {key: why for key in weighting.keys if (why := why_unknown(entry, key)) is not None}
    if policy.missing != "ignore":
        new = [diagnostic("metric_unknown", why, metric=k) for k, why in unknown.items() if k not in policy.limits]
        return check._replace(reasons=(*check.reasons, *new))
    if unknown and len(unknown) == len(weighting.keys):
        return check._replace(reasons=(*check.reasons, diagnostic("no_objective", "no objective is known")))
    said = {key: f"{why}: counted as utility 0" for key, why in unknown.items()}
    new = [diagnostic("objective_unknown", text, metric=key) for key, text in said.items()]
    return check._replace(remarks=(*check.remarks, *new))


def check_limits(entry: Entry, estimates: dict[str, Estimate | None], policy: Policy) -> LimitsCheck:
    """Check every limit: it holds if its probability reaches the policy's confidence.

    A metric with one trial is judged by its value alone and gets no probability.
    """
    probabilities: dict[str, float] = {}
    reasons: list[Diagnostic] = []
    remarks: list[Diagnostic] = []
    for key, limit in policy.limits.items():
        found = estimates[key]
        if found is None:
            unknown = why_unknown(entry, key) or ""
            if policy.missing == "ignore":
                remarks.append(diagnostic("limit_unchecked", f"{unknown}: its limit was not checked", metric=key))
            else:
                reasons.append(diagnostic("metric_unknown", f"{unknown}, and there is a limit on it", metric=key))
            continue
        p = probability(found, limit)
        if found.certain:
            probabilities[key] = p
        if p < policy.confidence:
            reasons.append(_broken(entry.metrics[key], limit, key, p))
    return LimitsCheck(probabilities, tuple(reasons), tuple(remarks))


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


def _bound(end: float, log: bool) -> float:
    if not log or end == math.inf:
        return end
    return math.log(end) if end > 0 else -math.inf


def _broken(measure: Measure, limit: Limit, key: str, p: float) -> Diagnostic:
    """Name the side that is broken; if neither is, the nearer side, which is not certain."""
    value, low, high = measure.value, limit.min, limit.max
    if high is not None and value > high:
        verb, bound, doubt = "exceeds", high, ""
    elif low is not None and value < low:
        verb, bound, doubt = "is below", low, ""
    elif low is None or (high is not None and high - value < value - low):
        verb, bound, doubt = "is not certainly at most", high or 0.0, f" ({chance(p)})"
    else:
        verb, bound, doubt = "is not certainly at least", low, f" ({chance(p)})"
    text, end = against(measure, bound, key)
    message = f"{short_name(key)} {text} {verb} {end}{doubt}"
    return diagnostic("limit_broken", message, metric=key, value=value, bound=bound, probability=p)
