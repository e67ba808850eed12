"""Which rows can be told apart: paired differences of scores, significance, margin, rank intervals.

The variance of a difference is exact rather than drawn: the score is, near its value, a weighted sum of the
noise sources, and what two rows share cancels. With one metric over k shared blocks this is the paired t test
on k-1 degrees of freedom, also far out in the tail, where 10,000 draws would resolve nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from harness.score.estimate import Estimate, Floats, degrees, t_quantile
from harness.score.utility import slope
from harness.score.weights import Weighting
from harness.spec.metrics import lookup
from harness.spec.policy import Policy

ALPHA = 0.05
"""Chance, per row, of a rank interval that misses: two-sided, Bonferroni over k-1 comparisons."""
TIE_MARGIN = 0.01
"""Score difference up to which two rows are a tie however sure it is. On the scale from 0 to 1."""
TIE_MARGIN_LOG = 0.02
"""The same where a single positive metric decides: difference of its logarithms, that is, about 2 %."""
_NIL = 1e-12  # score differences below this are rounding


class Loads(NamedTuple):
    """How a row's score hangs on each source of noise; `certain` as in `Estimate`.

    `own` lists (load, key, df).
    """

    blocks: Floats
    df: float
    rows: Floats
    own: tuple[tuple[float, int, float], ...]
    certain: bool


class Gap(NamedTuple):
    """Variance of a score difference by what more blocks would shrink and what they would not, with df."""

    by_blocks: float
    fixed: float
    df: float

    @property
    def error(self) -> float:
        """The standard error of the difference."""
        return math.sqrt(self.by_blocks + self.fixed)


class Comparison(NamedTuple):
    """All pairs: `better[i, j]` if i is significantly better than j, `apart` if beyond the margin."""

    better: NDArray[np.bool_]
    apart: NDArray[np.bool_]
    gaps: tuple[tuple[Gap, ...], ...]
    level: float

    def rank_low(self, row: int) -> int:
        """1 + the number of rows that are significantly better."""
        return 1 + int(self.better[:, row].sum())

    def rank_high(self, row: int) -> int:
        """The number of rows less those that are significantly worse."""
        return len(self.better) - int(self.better[row].sum())


def loads_of(estimates: Mapping[str, Estimate | None], weighting: Weighting, policy: Policy) -> Loads:
    """Sum the loads of a row's metrics, each times its weight and its utility's slope."""
    blocks, rows = np.zeros(0), np.zeros(0)
    own: list[tuple[float, int, float]] = []
    df, certain = math.inf, True
    for key, weight in zip(weighting.keys, weighting.central, strict=True):
        each = estimates[key]
        if each is None:
            continue
        steep = float(weight) * slope(each.value, each.log, key, policy.objectives[key])
        blocks, rows = _plus(blocks, steep * each.blocks), _plus(rows, steep * each.rows)
        own.append((steep * each.own, each.own_key, each.own_df))
        df, certain = min(df, each.df), certain and each.certain
    return Loads(blocks, df, rows, tuple(own), certain)


def compare(scores: Floats, loads: Sequence[Loads], apart: NDArray[np.bool_]) -> Comparison:
    """Compare all pairs; only those that are `apart`, beyond the margin, can be significantly different.

    The level is one-sided and the same for all pairs, α/2 over k-1, so that "i beats j" and "j loses to i"
    are one statement.
    """
    k = len(loads)
    level = ALPHA / 2.0 / max(k - 1, 1)
    blocks, rows = _squares([each.blocks for each in loads]), _squares([each.rows for each in loads])
    gaps = tuple(
        tuple(_gap(loads[i], loads[j], float(blocks[i, j]), float(rows[i, j])) for j in range(k)) for i in range(k)
    )
    error = np.array([[each.error for each in line] for line in gaps])
    df = np.array([[each.df for each in line] for line in gaps])
    difference = scores[:, None] - scores[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error > 0, difference / error, np.inf)
    p = np.where(np.isinf(df), special.ndtr(-t), special.stdtr(np.where(np.isinf(df), 1.0, df), -t))
    return Comparison((difference > _NIL) & apart & (p <= level), apart, gaps, level)


def beyond_margin(scores: Floats, values: Mapping[str, Floats]) -> NDArray[np.bool_]:
    """Say which pairs differ by more than a tie; `values` are the point values by objective (NaN unknown)."""
    keys = list(values)
    if by_ratio(keys) and bool(np.all(values[keys[0]] > 0)):
        logs = np.log(values[keys[0]])
        return np.asarray(np.abs(logs[:, None] - logs[None, :]) > TIE_MARGIN_LOG)
    return np.asarray(np.abs(scores[:, None] - scores[None, :]) > TIE_MARGIN)


def by_ratio(keys: Sequence[str]) -> bool:
    """Say whether the margin is one of ratios: a single objective, of a metric that is by nature positive."""
    return len(keys) == 1 and lookup(keys[0]).scale == "log"


def blocks_to_settle(gap: float, of: Gap, level: float, blocks: int) -> int | None:
    """Estimate how many blocks in all would make a difference significant; None where no number would.

    Half the interval shrinks as t_{n-1} sqrt(1/n) for what varies over blocks, and not at all for the rest.
    """
    wanted = abs(gap)
    if of.by_blocks == 0 or not math.isfinite(of.by_blocks):
        return None
    if wanted <= t_quantile(1 - level, math.inf) * math.sqrt(of.fixed):
        return None
    for n in sorted({blocks + step for step in range(1, 33)} | {int(blocks * 1.1**i) for i in range(20, 90)}):
        variance = of.by_blocks * blocks / n + of.fixed
        df = degrees([(of.by_blocks * blocks / n, n - 1.0), (of.fixed, math.inf)])
        if t_quantile(1 - level, df) * math.sqrt(variance) < wanted:
            return n
    return None


def _gap(one: Loads, two: Loads, blocks: float, rows: float) -> Gap:
    if not (one.certain and two.certain):
        return Gap(math.inf, math.inf, math.inf)
    own = _own_variance(one, two)
    df = degrees([(blocks, min(one.df, two.df)), (rows, math.inf), *own])
    return Gap(blocks, rows + sum(variance for variance, _ in own), df)


def _own_variance(one: Loads, two: Loads) -> list[tuple[float, float]]:
    """Add up sources of their own, which cancel only between rows with the very same data."""
    sources: dict[int, tuple[float, float]] = {}
    for sign, row in ((1.0, one), (-1.0, two)):
        for load, key, df in row.own:
            before = sources.get(key, (0.0, df))
            sources[key] = (before[0] + sign * load, df)
    return [(load**2, df) for load, df in sources.values()]


def _squares(vectors: Sequence[Floats]) -> Floats:
    """Give the squared distance of each pair of vectors; shorter ones end in zeros."""
    if not vectors:
        return np.zeros((0, 0))
    width = max(each.size for each in vectors)
    stacked = np.array([np.pad(each, (0, width - each.size)) for each in vectors])
    return np.array([((stacked - each) ** 2).sum(axis=1) for each in stacked])


def _plus(one: Floats, two: Floats) -> Floats:
    if one.size < two.size:
        one, two = two, one
    return one + np.pad(two, (0, one.size - two.size))
