"""One row by itself: what is known of it, whether it keeps the limits, its utilities and its score.

No function here reads other rows, so that eligibility and score of a row do not depend on the others.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.score.estimate import Estimate, estimate, why_unknown
from harness.score.limits import LimitsCheck, Question, check_limits, no_upper_end, open_objective
from harness.score.records import Entry, Status
from harness.score.resample import NoiseDraws, draws_of
from harness.score.weights import Weighting, utility
from harness.spec.arrays import Floats
from harness.spec.diagnostics import diagnostic
from harness.spec.policy import Policy, keys_of

NO_RESULT = ("failed", "skipped")
ONE_TRIAL = "one trial only: its uncertainty is not known"


class Assessed(NamedTuple):
    """A row judged by itself; `score` is None where a metric that the policy needs is not known.

    `floor` is the score if what is thin is as bad as can be.
    """

    entry: Entry
    estimates: Mapping[str, Estimate | None]
    utilities: dict[str, float]
    check: LimitsCheck
    score: float | None
    floor: float

    @property
    def placed(self) -> bool:
        """Whether the row has a place: it has a result, no limit is certainly broken, no needed metric is missing."""
        return self.entry.status not in NO_RESULT and not self.check.reasons

    @property
    def questions(self) -> tuple[Question, ...]:
        """What the evidence cannot judge yet."""
        return self.check.questions

    @property
    def eligible(self) -> bool:
        """Whether every limit certainly holds."""
        return self.placed and all(each.bound is None for each in self.questions)

    @property
    def status(self) -> Status:
        """The entry's status, or "undecided"."""
        open_still = self.placed and bool(self.questions)
        return "undecided" if open_still and self.entry.status == "measured" else self.entry.status

    @property
    def certain(self) -> bool:
        """False if some metric that the policy needs rests on one trial."""
        return all(each is None or each.certain for each in self.estimates.values())

    @property
    def drawable(self) -> bool:
        """Whether draws describe all of its uncertainty."""
        return all(each is None or each.settled for each in self.estimates.values())

    @property
    def proven(self) -> float:
        """The score that the evidence is sure of, but for noise: none where a limit may be broken."""
        return self.floor if self.eligible else -math.inf

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
    limits = check_limits(entry, estimates, policy) if entry.status not in NO_RESULT else LimitsCheck({})
    check = _with_objectives(limits, entry, estimates, policy, weighting)
    score = _score(utilities, policy, weighting)
    return Assessed(entry, estimates, utilities, check, score, _floor(estimates, utilities, policy, weighting))


def estimates_of(entry: Entry, policy: Policy) -> dict[str, Estimate | None]:
    """Estimate every metric that the policy names; nothing is known of a cell without result."""
    return {key: None if entry.status in NO_RESULT else estimate(entry, key) for key in keys_of(policy)}


def utility_draws(
    rows: Sequence[Assessed], key: str, policy: Policy, noise: NoiseDraws, paired: bool = False
) -> Floats:
    """Draw one objective's utility for all rows jointly (rows × draws); 0 where the metric is not known.

    `paired` draws are for comparisons of rows, the others for each row's own interval (`Estimate.paired`).
    """
    out = np.zeros((len(rows), noise.draws))
    found = [(index, each) for index, row in enumerate(rows) if (each := row.estimates[key]) is not None]
    if found:
        drawn = draws_of([each.paired if paired else each for _, each in found], noise)
        out[[index for index, _ in found]] = utility(drawn, key, policy.objectives[key])
    return out


def _score(utilities: Mapping[str, float], policy: Policy, weighting: Weighting) -> float | None:
    """Take the weighted mean. Under `missing = "ignore"` an unknown utility counts 0, so that it is no advantage."""
    known = [key for key in weighting.keys if key in utilities]
    if not known or (len(known) < len(weighting.keys) and policy.missing != "ignore"):
        return None
    pairs = zip(weighting.keys, weighting.central, strict=True)
    return float(sum(weight * utilities.get(key, 0.0) for key, weight in pairs))


def _floor(
    estimates: Mapping[str, Estimate | None],
    utilities: Mapping[str, float],
    policy: Policy,
    weighting: Weighting,
) -> float:
    """Score the row with utility 0 in each objective of which nothing is known on the upper, worse side."""
    open_ended = {
        key
        for key, objective in policy.objectives.items()
        if (found := estimates[key]) is not None and found.thin and objective.limit > objective.target
    }
    return _score({**utilities, **dict.fromkeys(open_ended, 0.0)}, policy, weighting) or 0.0


def _with_objectives(
    check: LimitsCheck, entry: Entry, estimates: Mapping[str, Estimate | None], policy: Policy, weighting: Weighting
) -> LimitsCheck:
    """Add the objectives that are not known, or not bounded, to what is said of the limits; each metric once."""
    if entry.status in NO_RESULT:
        return check
    check = _with_questions(check, entry, estimates, weighting)
    unknown = {key: why for key in weighting.keys if (why := why_unknown(entry, key)) is not None}
    if policy.missing != "ignore":
        new = [diagnostic("metric_unknown", why, metric=k) for k, why in unknown.items() if k not in policy.limits]
        return check._replace(reasons=(*check.reasons, *new))
    if unknown and len(unknown) == len(weighting.keys):
        return check._replace(reasons=(*check.reasons, diagnostic("no_objective", "no objective is known")))
    said = {key: f"{why}: counted as utility 0" for key, why in unknown.items()}
    new = [diagnostic("objective_unknown", text, metric=key) for key, text in said.items()]
    return check._replace(remarks=(*check.remarks, *new))


def _with_questions(
    check: LimitsCheck, entry: Entry, estimates: Mapping[str, Estimate | None], weighting: Weighting
) -> LimitsCheck:
    asked = {each.key for each in check.questions}
    known = {key: found for key in weighting.keys if (found := estimates[key]) is not None and key not in asked}
    new = [open_objective(found, entry.metrics[key], key) for key, found in known.items()]
    questions = (*check.questions, *(each for each in new if each is not None))
    ends = [no_upper_end(entry.metrics[key], key) for key, found in estimates.items() if found and not found.bounded]
    remarks = [each for each in ends if each.data["metric"] not in {question.key for question in questions}]
    return check._replace(questions=questions, remarks=(*check.remarks, *remarks))
