"""A policy: hard limits and weighted objectives on fixed scales."""

from __future__ import annotations

from typing import Literal

import msgspec

from harness.spec.metrics import Scale, lookup


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A bound that a row must keep: at least `min`, at most `max`, in the metric's unit."""

    min: float | None = None
    max: float | None = None


class Objective(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is wanted: utility 1 at `target` or better, 0 at `limit` or worse, in the metric's unit.

    `weight` is left out of every objective when the policy gives only an `order`.
    """

    target: float
    limit: float
    weight: float | None = None
    scale: Scale | None = None


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limits first, then trade-offs. `order` lists objectives from most to least important."""

    limits: dict[str, Limit] = {}
    objectives: dict[str, Objective] = {}
    order: tuple[str, ...] = ()
    missing: Literal["ineligible", "ignore"] = "ineligible"
    confidence: float = 0.95


def keys_of(policy: Policy) -> tuple[str, ...]:
    """Return the metric keys a policy speaks of, objectives first, each once."""
    return tuple(dict.fromkeys((*policy.objectives, *policy.limits)))


def scale_of(key: str, objective: Objective) -> Scale:
    """Return the scale an objective is judged on: its own, else the metric's."""
    return objective.scale or lookup(key).scale


WIDE = Policy(objectives={"latency_p99_ms": Objective(weight=1, target=0.01, limit=10_000.0)})
"""What a run without a suite is judged by: p99 alone, on a scale that holds any model. Printed as such."""
