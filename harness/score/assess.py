"""One row on its own: what is known of it, whether it keeps the limits, its utilities and its score.

Nothing here looks at other rows, so that no row's eligibility or score depends on the field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.score.estimate import Estimate, Floats, estimate, why_unknown
from harness.score.limits import Verdict, judge
from harness.score.records import Entry
from harness.score.resample import Noise, draws_of
from harness.score.utility import utility
from harness.score.weights import Weighting
from harness.spec.policy import Policy, keys_of

NO_RESULT = ("failed", "skipped")
ONE_TRIAL = "one trial only: nothing is certain"


class Assessed(NamedTuple):
    """A row judged by itself; `score` is None where the policy needs what is not known."""

    entry: Entry
    estimates: Mapping[str, Estimate | None]
    utilities: dict[str, float]
    verdict: Verdict
    eligible: bool
    score: float | None

    @property
    def certain(self) -> bool:
        """False if some metric that the policy needs rests on one trial."""
        return all(each is None or each.certain for each in self.estimates.values())


def assess(entry: Entry, policy: Policy, weighting: Weighting) -> Assessed:
    """Judge a row by the policy."""
    estimates = estimates_of(entry, policy)
    utilities = {
        key: float(utility(np.array([found.value]), key, objective)[0])
        for key, objective in policy.objectives.items()
        if (found := estimates[key]) is not None
    }
    verdict = _with_objectives(judge(entry, estimates, policy), entry, policy, weighting)
    eligible = entry.status not in NO_RESULT and not verdict.reasons
    return Assessed(entry, estimates, utilities, verdict, eligible, _score(entry, utilities, policy, weighting))


def estimates_of(entry: Entry, policy: Policy) -> dict[str, Estimate | None]:
    """Estimate every metric that the policy speaks of; nothing is known of a cell without result."""
    if entry.status in NO_RESULT:
        return dict.fromkeys(keys_of(policy))
    return {key: estimate(entry, key) for key in keys_of(policy)}


def utility_draws(rows: Sequence[Assessed], key: str, policy: Policy, noise: Noise) -> Floats:
    """Draw one objective's utility for all rows jointly (rows × draws); 0 where the metric is not known."""
    out = np.zeros((len(rows), noise.draws))
    found = [(index, each) for index, row in enumerate(rows) if (each := row.estimates[key]) is not None]
    if found:
        drawn = draws_of([each for _, each in found], noise)
        out[[index for index, _ in found]] = utility(drawn, key, policy.objectives[key])
    return out


def _score(entry: Entry, utilities: dict[str, float], policy: Policy, weighting: Weighting) -> float | None:
    """Take the weighted mean. Under `missing = "ignore"` the unknown counts 0, so that it never pays."""
    known = [key for key in weighting.keys if key in utilities]
    if entry.status in NO_RESULT or not known:
        return None
    if len(known) < len(weighting.keys) and policy.missing != "ignore":
        return None
    pairs = zip(weighting.keys, weighting.central, strict=True)
    return float(sum(weight * utilities.get(key, 0.0) for key, weight in pairs))


def _with_objectives(verdict: Verdict, entry: Entry, policy: Policy, weighting: Weighting) -> Verdict:
    """Add what is missing from the objectives to what the limits say, each metric once."""
    unknown = {key: why for key in weighting.keys if (why := why_unknown(entry, key)) is not None}
    if not unknown:
        return verdict
    if policy.missing == "ignore":
        remarks = tuple(f"{why}: counted as utility 0" for why in unknown.values())
        if len(unknown) == len(weighting.keys):
            return verdict._replace(reasons=(*verdict.reasons, "no objective is known"))
        return verdict._replace(remarks=verdict.remarks + remarks)
    reasons = tuple(why for key, why in unknown.items() if key not in policy.limits)
    return verdict._replace(reasons=verdict.reasons + reasons)
