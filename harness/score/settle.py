"""What would settle an open question: how many blocks, requests or dataset rows more. Estimates, not promises."""

import math
from typing import NamedTuple

from harness.score.estimate import Estimate, t_quantile, variances
from harness.score.records import Measure, More
from harness.spec.metrics import LEVELS, START_PERCENTILES, split_key
from harness.spec.policy import Limit
from harness.stats.pooled import enough
from harness.stats.quantiles import samples_needed

_MOST_TRIALS = 100  # beyond this many, Student's quantile is taken as the normal one
_MOST = 10**9


class Gap(NamedTuple):
    """Variance of a difference: the part that more blocks reduce, with its df, and the part they do not.

    `borrowed` is how many of the df do not come from the blocks, but from the noise of all rows.
    """

    by_blocks: float
    fixed: float
    df: float
    borrowed: float = 0.0

    @property
    def error(self) -> float:
        """The standard error of the difference."""
        return math.sqrt(self.by_blocks + self.fixed)

    def half_width(self, level: float) -> float:
        """Give the half-width of the difference's interval with `level` in each tail, as `stats.pairs.margin_of`."""
        student, normal = t_quantile(1.0 - level, self.df), t_quantile(1.0 - level, math.inf)
        return math.sqrt(student**2 * self.by_blocks + normal**2 * self.fixed)

    def after(self, blocks: int, wanted: int) -> "Gap":
        """Give the gap that `wanted` blocks instead of `blocks` would leave."""
        return self._replace(by_blocks=self.by_blocks * blocks / wanted, df=wanted - 1.0 + self.borrowed)


def blocks_to_settle(difference: float, of: Gap, level: float, blocks: int) -> int | None:
    """Estimate how many blocks in all would make a difference significant; None where no number would.

    The half-width decreases as t_{n-1} sqrt(1/n) for the part that varies over blocks; the rest is constant.
    """
    wanted, least = abs(difference), t_quantile(1.0 - level, math.inf) * math.sqrt(of.fixed)
    if of.by_blocks == 0 or not math.isfinite(of.by_blocks) or wanted <= least:
        return None
    return next((n for n in steps_from(blocks) if of.after(blocks, n).half_width(level) < wanted), None)


def steps_from(blocks: int) -> list[int]:
    """List numbers of blocks to try: the next 32, then each a tenth more, to about five thousand times as many."""
    return sorted({blocks + step for step in range(1, 33)} | {int(blocks * 1.1**i) for i in range(20, 90)})


def to_bound(measure: Measure, key: str) -> More:
    """Estimate what gives a metric an interval with two ends.

    A percentile needs requests enough (`stats.pooled.enough`). Where they are, trials differ: it then needs as many as
    make the effective number that which independent requests need. Other metrics need a second trial. What is made of
    cold starts needs more of these; blocks add nothing to it.
    """
    p = LEVELS.get(split_key(key)[1])
    if of_starts(measure, key):
        known = (measure.effective_n if measure.basis == "simulated" else None) or measure.n
        wanted = 2 if p is None else math.ceil(samples_needed(p) * max(measure.trials, 1) / max(known, 1))
        return More(starts=max(1, wanted - measure.trials))
    if p is None:
        return More(blocks=1) if measure.trials < 2 else More()
    trials, independent = max(measure.trials, 1), measure.independent
    if independent <= 0:
        return More()
    if enough(math.floor(independent), measure.trials, p):
        each = (measure.effective_n or independent) / trials
        wanted = max(trials + 1, math.ceil(samples_needed(p) / each))
    else:
        wanted = _trials_until_enough(independent / trials, trials, p)
    return _more(measure, key, wanted - trials)


def of_starts(measure: Measure, key: str) -> bool:
    """Whether a metric is made of cold starts: their own, or what they feed a simulation with."""
    return measure.basis == "simulated" or split_key(key)[1] in START_PERCENTILES


def to_judge(found: Estimate, measure: Measure, key: str, limit: Limit, confidence: float) -> More:
    """Estimate what would show that a limit holds or is broken, if the value stays where it is."""
    ends = [end for end in (limit.min, limit.max) if end is not None and (end > 0 or not found.log)]
    scaled = [math.log(end / found.value) if found.log else end - found.value for end in ends]
    distance = min(map(abs, scaled), default=0.0)
    (by_blocks, df), (rows, _), (own, _) = variances(found)
    if of_starts(measure, key):
        return More(starts=_rows_to_judge(distance, own, measure.trials, confidence))
    if found.rows.size:
        return More(rows=_rows_to_judge(distance, rows + own, measure.n, confidence))
    blocks = int(found.ran.sum())
    wanted = blocks_to_settle(distance, Gap(by_blocks, rows + own, df), 1.0 - confidence, blocks)
    return More() if wanted is None else _more(measure, key, wanted - blocks)


def _rows_to_judge(distance: float, variance: float, rows: int, confidence: float) -> int | None:
    if distance == 0.0:
        return None
    wanted = rows * variance * (t_quantile(confidence, math.inf) / distance) ** 2
    return math.ceil(wanted) - rows if rows < wanted < _MOST else None


def _more(measure: Measure, key: str, blocks: int) -> More:
    """Count what so many more blocks give; requests only for metrics that are made of them."""
    if split_key(key)[1] not in LEVELS:
        return More(blocks=blocks)
    return More(blocks, math.ceil(blocks * measure.n / max(measure.trials, 1)))


def _trials_until_enough(each: float, trials: int, p: float) -> int:
    """Find the fewest trials, more than there are, that have requests enough in all."""
    for k in range(max(trials + 1, 2), _MOST_TRIALS):
        if enough(math.floor(each * k), k, p):
            return k
    return max(trials + 1, _MOST_TRIALS, math.ceil(samples_needed(p) / each))
