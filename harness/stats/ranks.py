"""Which ranks could a cell hold, given what the blocks can tell apart?

A rank without an interval pretends to an order that noise may have made. Here a cell's best rank counts the
cells that are significantly better, its worst rank the cells that are not significantly worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.stats.pairs import compare, p_better

Floats: TypeAlias = npt.NDArray[np.float64]
Booleans: TypeAlias = npt.NDArray[np.bool_]


class RankIntervals(NamedTuple):
    """Per cell the best and the worst rank (from 1), and which cells are better than, or tied with, which.

    `better[i, j]` says that cell i is significantly better than cell j. `tied[i, j]` is symmetric: neither is
    better. It is not transitive, and a cell is tied with itself.
    """

    low: tuple[int, ...]
    high: tuple[int, ...]
    better: Booleans
    tied: Booleans


def rank_intervals(values: Floats, alpha: float = 0.05, known: Sequence[tuple[int, int]] = ()) -> RankIntervals:
    """Give rank intervals from values[block, cell], higher is better, NaN where a cell did not run.

    Pairs are compared within the blocks they share, two-sided, with Holm's correction over all pairs that
    share two blocks or more, so that any false order appears with probability at most `alpha`. `known`
    lists (better, worse) pairs decided elsewhere, such as a race's drops, which keep their verdict. rank
    low = 1 + number better; rank high = k - number worse.
    """
    k = values.shape[1]
    better = _holm(p_better(compare(values)), alpha)
    for winner, loser in known:
        better[winner, loser], better[loser, winner] = True, False
    low = tuple(1 + int(count) for count in better.sum(axis=0))
    high = tuple(k - int(count) for count in better.sum(axis=1))
    return RankIntervals(low, high, better, ~(better | better.T))


def _holm(p: Floats, alpha: float) -> Booleans:
    """Reject pairs by Holm's step-down procedure; p[i, j] is one-sided, for "i is better than j"."""
    first, second = np.triu_indices(p.shape[0], k=1)
    two_sided = 2.0 * np.minimum(p[first, second], p[second, first])
    order = np.argsort(two_sided, kind="stable")  # NaN last
    tested = int(np.count_nonzero(~np.isnan(two_sided)))
    levels = alpha / np.arange(tested, 0, -1)
    passed = np.logical_and.accumulate(two_sided[order[:tested]] <= levels)
    better = np.zeros(p.shape, dtype=np.bool_)
    for pair in order[:tested][passed]:
        i, j = int(first[pair]), int(second[pair])
        better[(i, j) if p[i, j] < p[j, i] else (j, i)] = True
    return better
