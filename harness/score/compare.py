"""Pairwise comparisons of rows: paired differences of scores, significance, tie margin, rank intervals.

The variance of a difference is computed, not drawn: near its value, the score is a weighted sum of the noise
sources, and the sources that two rows share cancel. With one metric over k shared blocks this is the paired
t test with k-1 degrees of freedom, also far in the tail, which 10,000 draws could not resolve.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from harness.score.estimate import Estimate, degrees, t_quantile
from harness.score.weights import Weighting, single_log_metric, slope
from harness.spec.arrays import Booleans, Floats
from harness.spec.policy import Policy

ALPHA = 0.05
"""Chance, per row, of a rank interval that misses: two-sided, Bonferroni over k-1 comparisons."""
TIE_MARGIN = 0.01
"""Score difference up to which two rows tie, even if it is significant. On the scale from 0 to 1."""
TIE_MARGIN_LOG = 0.02
"""The same where a single metric on a log scale decides: difference of its logarithms, about 2 %."""
_NIL = 1e-12  # score differences below this are rounding


class NoiseSensitivity(NamedTuple):
    """How a row's score depends on each source of noise, as in `Estimate`; `own` lists (load, key, df)."""

    blocks: Floats
    df: float
    rows: Floats
    own: tuple[tuple[float, int, float], ...]
    certain: bool


class Gap(NamedTuple):
    """Variance of a score difference: the part that more blocks reduce, the part they do not, and the df."""

    by_blocks: float
    fixed: float
    df: float

    @property
    def error(self) -> float:
        """The standard error of the difference."""
        return math.sqrt(self.by_blocks + self.fixed)


class Comparison(NamedTuple):
    """All pairs: `better[i, j]` if i is significantly better than j, `apart` if beyond the margin."""

    better: Booleans
    apart: Booleans
    gaps: tuple[tuple[Gap, ...], ...]
    level: float

    def rank_low(self, row: int) -> int:
        """One plus the number of rows that are significantly better."""
        return 1 + int(self.better[:, row].sum())

    def rank_high(self, row: int) -> int:
        """The number of rows minus those that are significantly worse."""
        return len(self.better) - int(self.better[row].sum())


def sensitivity_of(estimates: Mapping[str, Estimate | None], weighting: Weighting, policy: Policy) -> NoiseSensitivity:
    """Sum the loads of a row's metrics, each times its weight and its utility's slope."""
    parts = [
        (each, float(weight) * slope(each.value, each.log, key, policy.objectives[key]))
        for key, weight in zip(weighting.keys, weighting.central, strict=True)
        if (each := estimates[key]) is not None
    ]
    return NoiseSensitivity(
        _padded([factor * each.blocks for each, factor in parts]).sum(axis=0),
        min((each.df for each, _ in parts), default=math.inf),
        _padded([factor * each.rows for each, factor in parts]).sum(axis=0),
        tuple((factor * each.own, each.own_key, each.own_df) for each, factor in parts),
        all(each.certain for each, _ in parts),
    )


def compare(scores: Floats, of: Sequence[NoiseSensitivity], apart: Booleans) -> Comparison:
    """Compare all pairs; only those that are `apart`, beyond the margin, can be significantly different.

    The level is one-sided and the same for all pairs, α/2 over k-1, so that "i is better than j" and "j is worse
    than i" are one statement.
    """
    k = len(of)
    level = ALPHA / 2.0 / max(k - 1, 1)
    blocks, rows = _squares([each.blocks for each in of]), _squares([each.rows for each in of])
    gaps = tuple(tuple(_gap(of[i], of[j], float(blocks[i, j]), float(rows[i, j])) for j in range(k)) for i in range(k))
    error = np.array([[each.error for each in line] for line in gaps])
    df = np.array([[each.df for each in line] for line in gaps])
    difference = scores[:, None] - scores[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error > 0, difference / error, np.inf)
    p = np.where(np.isinf(df), special.ndtr(-t), special.stdtr(np.where(np.isinf(df), 1.0, df), -t))
    return Comparison((difference > _NIL) & apart & (p <= level), apart, gaps, level)


def beyond_margin(scores: Floats, values: Mapping[str, Floats], policy: Policy) -> Booleans:
    """Say which pairs differ by more than the margin; `values` are by objective, NaN where not known."""
    single = values.get(single_log_metric(policy) or "")
    if single is not None and bool(np.all(single > 0)):
        compared, margin = np.log(single), TIE_MARGIN_LOG
    else:
        compared, margin = scores, TIE_MARGIN
    return np.asarray(np.abs(compared[:, None] - compared[None, :]) > margin)


def tie_margin(policy: Policy) -> float:
    """Return the margin of race and ranking: on logarithms of the single log metric, else on scores."""
    return TIE_MARGIN_LOG if single_log_metric(policy) is not None else TIE_MARGIN


def blocks_to_settle(gap: float, of: Gap, level: float, blocks: int) -> int | None:
    """Estimate how many blocks in all would make a difference significant; None where no number would.

    The half-width decreases as t_{n-1} sqrt(1/n) for the part that varies over blocks; the rest is constant.
    """
    wanted, least = abs(gap), t_quantile(1 - level, math.inf) * math.sqrt(of.fixed)
    if of.by_blocks == 0 or not math.isfinite(of.by_blocks) or wanted <= least:
        return None
    for n in sorted({blocks + step for step in range(1, 33)} | {int(blocks * 1.1**i) for i in range(20, 90)}):
        variance = of.by_blocks * blocks / n + of.fixed
        df = degrees([(of.by_blocks * blocks / n, n - 1.0), (of.fixed, math.inf)])
        if t_quantile(1 - level, df) * math.sqrt(variance) < wanted:
            return n
    return None


def _gap(one: NoiseSensitivity, two: NoiseSensitivity, blocks: float, rows: float) -> Gap:
    if not (one.certain and two.certain):
        return Gap(math.inf, math.inf, math.inf)
    own = _own_variance(one, two)
    df = degrees([(blocks, min(one.df, two.df)), (rows, math.inf), *own])
    return Gap(blocks, rows + sum(variance for variance, _ in own), df)


def _own_variance(one: NoiseSensitivity, two: NoiseSensitivity) -> list[tuple[float, float]]:
    """Sum the own sources, which cancel only between rows with identical data."""
    sources: dict[int, tuple[float, float]] = {}
    for sign, row in ((1.0, one), (-1.0, two)):
        for load, key, df in row.own:
            sources[key] = (sources.get(key, (0.0, df))[0] + sign * load, df)
    return [(load**2, df) for load, df in sources.values()]


def _squares(vectors: Sequence[Floats]) -> Floats:
    """Give the squared distance of each pair of vectors."""
    stacked = _padded(vectors)
    return np.array([((stacked - each) ** 2).sum(axis=1) for each in stacked])


def _padded(vectors: Sequence[Floats]) -> Floats:
    """Stack vectors as rows; shorter ones are padded with zeros."""
    width = max((each.size for each in vectors), default=0)
    return np.array([np.pad(each, (0, width - each.size)) for each in vectors]).reshape(len(vectors), width)
