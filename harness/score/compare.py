"""Pairwise comparisons of rows: paired differences of scores, significance, tie margin, rank sets.

The race's statistics (`stats.pairs`): differences within shared blocks, variances moderated by the noise of all rows,
and the variance that comes from the dataset's rows, which two rows share as far as they predict alike. With one
metric over two rows this is the paired t test. A score by block is the score plus what the block's trials are away
from the row's values, times weight and slope; with these, a percentile of pooled requests is compared by the
percentiles of the trials, which drift alike. To be told apart, two rows must differ by these and by their scores.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.score.estimate import Estimate
from harness.score.settle import Gap
from harness.score.weights import Weighting, single_log_metric, slope
from harness.spec.arrays import Booleans, Floats, Integers
from harness.spec.policy import Policy
from harness.stats.pairs import Pairs, p_better
from harness.stats.pairs import compare as stats_compare
from harness.stats.ranksets import rank_sets

TIE_MARGIN = 0.01
"""Score difference up to which two rows tie, even if it is significant. On the scale from 0 to 1."""
TIE_MARGIN_LOG = 0.02
"""The same where a single metric on a log scale decides: difference of its logarithms, about 2 %."""
_NIL = 1e-12  # score differences below this are rounding
_ALL = 1e6  # more than any score


class NoiseSensitivity(NamedTuple):
    """How far a row's score is, by block, from the score it has (NaN: did not run), and the loads of other sources.

    `rows` has a load per dataset row; `own` lists (load, key). `certain` is False where the spread is not known.
    """

    by_block: Floats
    rows: Floats
    own: tuple[tuple[float, int], ...]
    certain: bool


class Comparison(NamedTuple):
    """All pairs: `better[i, j]` if i is told to be better than j, `apart` if their scores are beyond the margin.

    `low` and `high` are the ends of each row's rank set; `level` is the one-sided level that pairs were tested at.
    """

    better: Booleans
    low: Integers
    high: Integers
    apart: Booleans
    pairs: Pairs
    level: float

    def told_apart(self, one: int, two: int) -> bool:
        """Whether one of two rows is told to be better."""
        return bool(self.better[one, two] or self.better[two, one])

    def gap(self, one: int, two: int) -> Gap:
        """Give the noise of a pair's difference; infinite where it is not known."""
        return gap_of(self.pairs, one, two)


def gap_of(pairs: Pairs, one: int, two: int) -> Gap:
    """Give the noise of a pair's difference; infinite where it is not known."""
    error, df, fixed = (float(each[one, two]) for each in (pairs.error, pairs.df, np.asarray(pairs.fixed)))
    if math.isnan(error):
        return Gap(math.inf, math.inf, 1.0)
    return Gap(error**2, fixed, df, df - float(pairs.n[one, two]) + 1.0)


def sensitivity_of(estimates: Mapping[str, Estimate | None], weighting: Weighting, policy: Policy) -> NoiseSensitivity:
    """Sum the loads of a row's metrics, each times its weight and its utility's slope."""
    return sum_of_noise(
        [
            (each, float(weight) * slope(each.value, each.log, key, policy.objectives[key]))
            for key, weight in zip(weighting.keys, weighting.central, strict=True)
            if (each := estimates[key]) is not None
        ]
    )


def sum_of_noise(parts: Sequence[tuple[Estimate, float]]) -> NoiseSensitivity:
    """Sum the noise of estimates, each times a factor."""
    width = max((each.by_block.size for each, _ in parts), default=0)
    moved = [factor * _over(width, each.by_block) for each, factor in parts if each.by_block.size]
    return NoiseSensitivity(
        _summed(moved),
        _padded([factor * each.rows for each, factor in parts]).sum(axis=0),
        tuple((factor * each.own, each.own_key) for each, factor in parts),
        all(each.certain for each, _ in parts),
    )


def compare(
    scores: Floats, of: Sequence[NoiseSensitivity], apart: Booleans, proven: Floats | None = None
) -> Comparison:
    """Compare all pairs, with simultaneous 95 % rank sets; only pairs that are `apart` can be told apart.

    A row is better than another if what is `proven` of its score is (default: the score).
    """
    sure = scores if proven is None else proven
    pairs = pairs_of(scores, of)
    known = np.array([each.certain for each in of], dtype=np.bool_)
    lost = np.where(np.isfinite(sure), scores - sure, _ALL)
    p = p_better(pairs._replace(effect=pairs.effect - lost[:, None]))
    possible = apart & (sure[:, None] - scores[None, :] > _NIL) & known[:, None] & known[None, :]
    sets = rank_sets(np.where(possible, p, 1.0))
    return Comparison(sets.better, sets.low, sets.high, apart, pairs, sets.level)


def pairs_of(scores: Floats, of: Sequence[NoiseSensitivity]) -> Pairs:
    """Compare scores by block, and add the variance that more blocks do not reduce; NaN where nothing is known."""
    width = max((each.by_block.size for each in of), default=0)
    columns = [score + _by_block(max(width, 2), each) for score, each in zip(scores.tolist(), of, strict=True)]
    values = np.array(columns, dtype=np.float64).reshape(len(of), max(width, 2)).T
    return stats_compare(values)._replace(fixed=fixed_variances(of))


def fixed_variances(of: Sequence[NoiseSensitivity]) -> Floats:
    """Give the variance of each pair's difference that more blocks do not reduce: dataset rows and own sources."""
    own = [[_own_variance(one, two) for two in of] for one in of]
    return np.asarray(_squares([each.rows for each in of]) + np.array(own, dtype=np.float64).reshape(len(of), len(of)))


def _by_block(width: int, of: NoiseSensitivity) -> Floats:
    """Give the deviations over `width` blocks; what has no trials is the same in all blocks."""
    if not of.by_block.size:
        return np.zeros(width) if of.certain else np.full(width, np.nan)
    return _over(width, of.by_block)


def _over(width: int, by_block: Floats) -> Floats:
    return np.pad(by_block, (0, width - by_block.size), constant_values=np.nan)


def _summed(moved: Sequence[Floats]) -> Floats:
    """Sum deviations by block over metrics; NaN where none ran."""
    if not moved:
        return np.zeros(0)
    ran = np.asarray(np.isfinite(np.array(moved)).any(axis=0))
    return np.where(ran, np.sum([_completed(each, ran) for each in moved], axis=0), np.nan)


def _completed(by_block: Floats, ran: Booleans) -> Floats:
    """Fill the blocks that a metric lacks, of those that the row ran, so that mean and standard error remain."""
    have = np.isfinite(by_block)
    m, n = int(have.sum()), int(ran.sum())
    mean = float(by_block[have].mean()) if m else 0.0
    factor = math.sqrt(n * (n - 1) / (m * (m - 1))) if m >= 2 else 1.0
    return np.where(have, mean + factor * (by_block - mean), mean)


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


def _own_variance(one: NoiseSensitivity, two: NoiseSensitivity) -> float:
    """Sum the own sources, which cancel only between rows with identical data."""
    sources: dict[int, float] = {}
    for sign, row in ((1.0, one), (-1.0, two)):
        for load, key in row.own:
            sources[key] = sources.get(key, 0.0) + sign * load
    return math.fsum(load**2 for load in sources.values())


def _squares(vectors: Sequence[Floats]) -> Floats:
    """Give the squared distance of each pair of vectors."""
    stacked = _padded(vectors)
    return np.array([((stacked - each) ** 2).sum(axis=1) for each in stacked])


def _padded(vectors: Sequence[Floats]) -> Floats:
    """Stack vectors as rows; shorter ones are padded with zeros."""
    width = max((each.size for each in vectors), default=0)
    return np.array([np.pad(each, (0, width - each.size)) for each in vectors]).reshape(len(vectors), width)
