"""Rank acceptability: how often a row takes each rank, over draws of the metrics and of the weights.

Source: Lahdelma & Salminen, SMAA-2: stochastic multicriteria acceptability analysis for group decision
making, Operations Research 49 (2001).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.score.estimate import Floats


class Shares(NamedTuple):
    """`ranks` is rows × ranks, rows and columns summing to 1; `first` is draws × rows, shares of rank 1."""

    ranks: Floats
    first: Floats


def rank_shares(scores: Floats) -> Shares:
    """Count how often each row takes each rank; `scores` is rows × draws, more is better.

    Rows with exactly equal scores share the ranks that they take up in equal parts.
    """
    k, draws = scores.shape
    by_draw = np.ascontiguousarray(-scores.T)
    order = np.argsort(by_draw, axis=1, kind="stable")
    start, end = _groups(np.take_along_axis(by_draw, order, axis=1))
    share = 1.0 / (end - start + 1)
    return Shares(_spread(order, start, end, share, k) / draws, _first(order, start, share))


def central_weights(first: Floats, weights: Floats) -> Floats:
    """Give each row's mean weights of the draws in which it is first (rows × objectives); NaN if in none."""
    times = first.sum(axis=0)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(times > 0, (first.T @ weights) / times, np.nan)


def _groups(ordered: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find, for each place in each draw, the first and last place with an equal score."""
    draws, k = ordered.shape
    places = np.broadcast_to(np.arange(k), (draws, k))
    change = ordered[:, 1:] != ordered[:, :-1]
    edge = np.ones((draws, 1), dtype=np.bool_)
    opens, closes = np.hstack((edge, change)), np.hstack((change, edge))
    start = np.maximum.accumulate(np.where(opens, places, 0), axis=1)
    end = np.minimum.accumulate(np.where(closes, places, k - 1)[:, ::-1], axis=1)[:, ::-1]
    return start, end


def _spread(order: NDArray[np.intp], start: NDArray[np.intp], end: NDArray[np.intp], share: Floats, k: int) -> Floats:
    """Add each share to all ranks from start to end, by differences at the two ends and one running sum."""
    size = k * (k + 1)
    rises = np.bincount((order * (k + 1) + start).ravel(), share.ravel(), size)
    falls = np.bincount((order * (k + 1) + end + 1).ravel(), share.ravel(), size)
    running = np.cumsum((rises - falls).reshape(k, k + 1), axis=1)[:, :k]
    return np.clip(running, 0.0, None)


def _first(order: NDArray[np.intp], start: NDArray[np.intp], share: Floats) -> Floats:
    first = np.zeros(order.shape)
    np.put_along_axis(first, order, np.where(start == 0, share, 0.0), axis=1)
    return first
