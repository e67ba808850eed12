"""A policy: hard limits and weighted objectives on fixed scales."""

from typing import Literal

import msgspec

from harness.spec.metrics import Scale, lookup
from harness.spec.ranges import Finite, NotNegative, Probability


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A bound that a row must keep: at least `min`, at most `max`, in the metric's unit."""

    min: Finite | None = None
    max: Finite | None = None


class Objective(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A goal: utility 1 at `target` or better, 0 at `limit` or worse, in the metric's unit.

    `weight` is left out of every objective when the policy gives only an `order`.
    """

    target: Finite
    limit: Finite
    weight: NotNegative | None = None
    scale: Scale | None = None


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limits, which a row must keep, and weighted objectives. `order` lists objectives from most to least important."""

    limits: dict[str, Limit] = {}
    objectives: dict[str, Objective] = {}
    order: tuple[str, ...] = ()
    missing: Literal["ineligible", "ignore"] = "ineligible"
    confidence: Probability = 0.95


def keys_of(policy: Policy) -> tuple[str, ...]:
    """Return the metric keys that a policy uses, objectives first, each once."""
    return tuple(dict.fromkeys((*policy.objectives, *policy.limits)))


def scale_of(key: str, objective: Objective) -> Scale:
    """Return the scale of an objective's utility: its own, else the metric's."""
    return objective.scale or lookup(key).scale


def wide(key: str) -> Policy:
    """Return the policy that ranks by one latency percentile, on a scale wide enough for any model."""
    return Policy(objectives={key: Objective(weight=1, target=0.001, limit=100_000.0)})


WIDE = wide("latency_p99_ms")
"""The policy of a run without a suite, as it is raced. `score.choose` ranks by what all rows can show."""
