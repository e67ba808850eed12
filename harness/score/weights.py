"""Utility on the policy's fixed scales, the weights of objectives, and rank acceptability over random weights.

Utility does not depend on the candidates, so that a new row changes no other. Acceptability: Lahdelma & Salminen,
SMAA-2: stochastic multicriteria acceptability analysis for group decision making, Operations Research 49 (2001).
"""

import math
from collections.abc import Container
from typing import NamedTuple

import numpy as np

from harness.spec.arrays import Floats, Indices
from harness.spec.policy import Objective, Policy, scale_of


class Weighting(NamedTuple):
    """Objectives that count, with the policy's weights (sum 1); `ordered` if only their order is given."""

    keys: tuple[str, ...]
    central: Floats
    ordered: bool


def weighting_of(policy: Policy, known: Container[str]) -> Weighting:
    """Take the objectives with a positive weight, or in the policy's order.

    With `missing = "ignore"` only the `known` objectives count, for all rows. That multiplies every score by
    the same factor and changes no order.
    """
    weights = {key: each.weight or 0.0 for key, each in policy.objectives.items()}
    keys = policy.order or tuple(key for key, weight in weights.items() if weight > 0)
    if policy.missing == "ignore":
        keys = tuple(key for key in keys if key in known)
    if policy.order or not keys:
        return Weighting(keys, rank_order_centroid(len(keys)), bool(policy.order))
    raw = np.array([weights[key] for key in keys])
    return Weighting(keys, raw / raw.sum(), False)


def single_log_metric(policy: Policy) -> str | None:
    """Return the policy's only objective that counts, if its scale is logarithmic; its ratios then decide."""
    keys = weighting_of(policy, policy.objectives).keys
    return keys[0] if len(keys) == 1 and scale_of(keys[0], policy.objectives[keys[0]]) == "log" else None


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


class RankFractions(NamedTuple):
    """`ranks` is rows × ranks, rows and columns summing to 1; `first` is draws × rows, fractions of rank 1."""

    ranks: Floats
    first: Floats


def rank_fractions(scores: Floats) -> RankFractions:
    """Count how often each row takes each rank; `scores` is rows × draws, more is better.

    Rows with exactly equal scores divide the ranks that they occupy equally.
    """
    best = np.array([(scores > row).sum(axis=0) for row in scores])
    worst = np.array([(scores >= row).sum(axis=0) for row in scores]) - 1
    fraction = 1.0 / (worst - best + 1)
    ranks = _spread(best, worst, fraction) / scores.shape[1]
    return RankFractions(ranks, np.ascontiguousarray(np.where(best == 0, fraction, 0.0).T))


def central_weights(first: Floats, weights: Floats) -> Floats:
    """Give each row's mean weights of the draws in which it is first (rows × objectives); NaN if in none."""
    times = first.sum(axis=0)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(times > 0, (first.T @ weights) / times, np.nan)


def _spread(best: Indices, worst: Indices, fraction: Floats) -> Floats:
    """Add each fraction to all ranks from best to worst, by differences at the ends and a cumulative sum."""
    k = len(best)
    row = np.arange(k)[:, None] * (k + 1)
    rises = np.bincount((row + best).ravel(), fraction.ravel(), k * (k + 1))
    falls = np.bincount((row + worst + 1).ravel(), fraction.ravel(), k * (k + 1))
    running = np.cumsum((rises - falls).reshape(k, k + 1), axis=1)[:, :k]
    return np.clip(running, 0.0, None)


_TINY = 1e-300  # replaces 0 and negative values on a log scale


def utility(values: Floats, key: str, objective: Objective) -> Floats:
    """Map values in the metric's unit to [0, 1], linearly or in logarithms (`scale_of`)."""
    scaled = np.log(np.maximum(values, _TINY)) if scale_of(key, objective) == "log" else values
    zero, one = _ends(key, objective)
    return np.clip((scaled - zero) / (one - zero), 0.0, 1.0) + 0.0  # no -0.0


def slope(value: float, log_noise: bool, key: str, objective: Objective) -> float:
    """Give d utility / d noise at `value`, as if the scale had no ends.

    The noise is that of log(value) if `log_noise`, else of the value. The ends are ignored on purpose: with them
    the error of a difference would become smaller when a row reaches an end.
    """
    if scale_of(key, objective) == "log":
        per_noise = 1.0 if log_noise else (1.0 / value if value > 0 else 0.0)
    else:
        per_noise = value if log_noise else 1.0
    zero, one = _ends(key, objective)
    return per_noise / (one - zero)


def _ends(key: str, objective: Objective) -> tuple[float, float]:
    """Give the ends of the scale, utility 0 and utility 1; logarithms on a log scale."""
    ends = objective.limit, objective.target
    return (math.log(ends[0]), math.log(ends[1])) if scale_of(key, objective) == "log" else ends
