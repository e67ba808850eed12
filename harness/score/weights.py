"""Whose wishes count how much: the policy's own weights, and all the weights it might have had."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

import numpy as np

from harness.score.estimate import Floats
from harness.spec.policy import Policy


class Weighting(NamedTuple):
    """Objectives that count, with the policy's weights (sum 1); `ordered` if only their order is given."""

    keys: tuple[str, ...]
    central: Floats
    ordered: bool


def weighting_of(policy: Policy, known: Container[str]) -> Weighting:
    """Take the objectives with a positive weight, or in the policy's order.

    With `missing = "ignore"` an objective that is `known` for no row is left out for all of them: that
    changes every score by one factor and no order.
    """
    weights = {key: each.weight or 0.0 for key, each in policy.objectives.items()}
    keys = policy.order or tuple(key for key, weight in weights.items() if weight > 0)
    if policy.missing == "ignore":
        keys = tuple(key for key in keys if key in known)
    if policy.order or not keys:
        return Weighting(keys, rank_order_centroid(len(keys)), bool(policy.order))
    raw = np.array([weights[key] for key in keys])
    return Weighting(keys, raw / raw.sum(), False)


def rank_order_centroid(n: int) -> Floats:
    """Give the mean of all weight vectors that respect an order: w_j = (1/n) Σ_{i≥j} 1/i.

    Source: Barron & Barrett, Decision quality using ranked attribute weights, Management Science 42 (1996).
    """
    return np.cumsum(1.0 / np.arange(n, 0, -1))[::-1] / max(n, 1)


def random_weights(of: Weighting, draws: int, rng: np.random.Generator) -> Floats:
    """Draw weight vectors (draws × objectives) uniformly from the simplex; sorted where an order is given."""
    raw = rng.standard_exponential((draws, len(of.keys)))
    if of.ordered:
        raw = -np.sort(-raw, axis=1)
    return np.asarray(raw / raw.sum(axis=1, keepdims=True))
