"""Simultaneous rank sets: for each cell the ranks that it could have, all of them right with 95 % confidence.

After Mogstad, Romano, Shaikh & Wilhelm, "Inference for Ranks", Review of Economic Studies 91 (2024): test for each
ordered pair that the first is not better than the second, with the familywise error under control; a cell's rank is
at least one plus the number of cells found better, and at most k minus the number found worse. Step-down: Holm (1979),
with the logic of pairwise comparisons of Shaffer (1986, JASA 81). Needs numpy only.
"""

from typing import NamedTuple

import numpy as np

from harness.spec.arrays import Booleans, Floats, Integers

ALPHA = 0.05


class RankSets(NamedTuple):
    """What is told apart: `better[i, j]` if i is better than j, the ranks [low, high] of each cell, counted from 1.

    Cells with `low` 1 may be the best. `level` is the one-sided level that the last step tested each pair at.
    """

    better: Booleans
    low: Integers
    high: Integers
    level: float


def rank_sets(p: Floats, alpha: float = ALPHA) -> RankSets:
    """Return the rank sets that follow from `p[i, j]`, the one-sided p-value of "i is better than j".

    NaN or 1 where a pair cannot be tested; the diagonal is ignored. With probability 1 - alpha no pair is told apart
    wrongly, whatever the dependence of the tests. What follows from two results (i better than j, j better than l) is
    a result; pairs with results in both directions are not told apart. Raises `ValueError` unless `p` is square.
    """
    if p.ndim != 2 or p.shape[0] != p.shape[1]:
        raise ValueError(f"needs one p-value per ordered pair of cells, not an array of shape {p.shape}")
    k = p.shape[0]
    tested = np.where(np.isnan(p), 1.0, p)
    np.fill_diagonal(tested, 1.0)
    better, level = np.zeros((k, k), dtype=np.bool_), alpha
    while (could_err := _could_err(better)) > 0:
        level = alpha / could_err
        found = _consistent(better | (tested <= level))
        if found.sum() <= better.sum():
            break
        better = found
    return RankSets(better, 1 + better.sum(axis=0), k - better.sum(axis=1), level)


def _could_err(better: Booleans) -> int:
    """Count how many of the statements that have not been made could all be wrong, if those made are right.

    Of a pair not told apart one statement is wrong, or both where the two cells are equal. The more cells are known
    to be in one order, the fewer pairs can be equal: with a chain of h cells, at most k-h+1 cells are one group.
    """
    k = len(better)
    open_pairs = k * (k - 1) // 2 - int(better.sum())
    group = k - _longest_chain(better) + 1
    return open_pairs + min(open_pairs, int(group * (group - 1) // 2))


def _longest_chain(better: Booleans) -> int:
    """Return how many cells the longest known order has; `better` is transitive and has no circles."""
    length = np.ones(better.shape[0], dtype=np.int64)
    for cell in np.argsort(-better.sum(axis=1), kind="stable")[::-1]:  # who beats fewest comes first
        length[cell] = 1 + int(length[better[cell]].max(initial=0))
    return int(length.max(initial=1))


def _consistent(better: Booleans) -> Booleans:
    """Add what follows from two results, and take back results in both directions."""
    closed = better.copy()
    for middle in range(closed.shape[0]):
        closed |= closed[:, [middle]] & closed[middle]
    return np.asarray(closed & ~closed.T)
