"""The estimate of one metric of one cell: a value and the sources of its noise.

The noise of an estimate is a weighted sum of independent standard normals ("loads" are the weights). A source
belongs to a block, to a dataset row, or to the content of a measure, never to the place in the table.
Cells that ran in the same blocks, or predicted the same dataset rows, therefore share noise, and it cancels
in comparisons; two cells with the same data share all of it.
"""

import math
import zlib
from typing import NamedTuple

import numpy as np
from scipy import special

from harness.score.records import Entry, Measure, RowScores
from harness.score.words import short_name
from harness.spec.arrays import Booleans, Floats
from harness.spec.diagnostics import Diagnostic
from harness.spec.metrics import LEVELS, lookup, split_key
from harness.stats.pooled import enough

_NONE: Floats = np.zeros(0)
_SURE = 0.01  # below the usual 5 %, because a race looks again after each block
_PSEUDO = 4  # pseudo-rows of Agresti & Coull, Approximate is better than "exact" (1998)


class Estimate(NamedTuple):
    """A value with the loads of its noise, on log(value) if `log`, else in the metric's unit.

    `blocks` has one load per block, with `df` degrees of freedom behind them, 0 where the cell did not run; `by_block`
    has how far each block's trial is from the value, NaN where the cell did not run: what comparisons are made from;
    `rows` one per dataset row (after three pseudo-rows); `own` is the load of a source of its own, known by
    `own_key`, with `own_df`. `certain` is False where the spread is not known, as with one trial. `bounded` is False
    where the value has no upper end; it is `thin` if that is for want of requests, or because some trials could not
    keep up with their load: nothing is then known of the upper side, and the loads are those of the lower one. Else
    trials differ, and what they share cancels in comparisons.
    """

    value: float
    log: bool
    blocks: Floats = _NONE
    df: float = math.inf
    rows: Floats = _NONE
    own: float = 0.0
    own_key: int = 0
    own_df: float = math.inf
    certain: bool = True
    bounded: bool = True
    thin: bool = False
    by_block: Floats = _NONE

    @property
    def ran(self) -> Booleans:
        """In which blocks the cell ran."""
        return np.isfinite(self.by_block)

    @property
    def paired(self) -> "Estimate":
        """The estimate with the noise of its blocks as comparisons see it: the spread of the trials' own values."""
        deviations = self.by_block[self.ran]
        if deviations.size < 2:
            return self
        loads = np.zeros(self.by_block.size)
        loads[self.ran] = (deviations - deviations.mean()) / math.sqrt(deviations.size * (deviations.size - 1))
        return self._replace(blocks=loads, df=deviations.size - 1.0)

    @property
    def settled(self) -> bool:
        """Whether the spread is known on both sides."""
        return self.certain and not self.thin


def estimate(entry: Entry, key: str) -> Estimate | None:
    """Estimate a metric of an entry; None where it is not known (see `why_unknown`)."""
    if why_unknown(entry, key) is not None:
        return None
    measure = entry.metrics[key]
    scores = entry.rows.get(key)
    trials = np.array(entry.trials.get(key, ()), dtype=np.float64)
    ran = trials[np.isfinite(trials)]
    log = lookup(key).scale == "log" and measure.value > 0 and bool(np.all(ran > 0))
    if scores is not None and scores.values.size > 0:
        return _from_rows(measure.value, log, scores)
    if measure.basis == "exact":
        return Estimate(measure.value, log)
    bounded = measure.high is not None
    thin = not bounded and (is_thin(measure, key) or saturated(entry, key) is not None)
    if measure.basis == "pooled" and key in entry.loads and (bounded or thin or ran.size < 2):
        return _from_loads(measure, entry.loads[key], trials)._replace(bounded=bounded, thin=thin)
    if ran.size >= 2 and measure.basis != "rows":
        return _from_trials(measure, trials, log, key)._replace(bounded=bounded, thin=thin)
    if measure.basis == "rows" or measure.trials >= 2:
        return _from_interval(measure, log, key)._replace(bounded=bounded, thin=thin)
    return Estimate(measure.value, log, certain=False, bounded=bounded, thin=thin)


def is_thin(measure: Measure, key: str) -> bool:
    """Whether a percentile has too few requests, or trials, for an upper end even if trials do not differ.

    Of an open loop, those count that its requests are worth. Of a simulated one it is what was measured that counts, as
    if it had been independent requests.
    """
    p, n = LEVELS.get(split_key(key)[1]), math.floor(measure.independent)
    if measure.basis == "simulated" and measure.effective_n is not None:
        n = math.floor(measure.effective_n)
    return p is None or not enough(n, measure.trials, p)


def why_unknown(entry: Entry, key: str) -> str | None:
    """Say that a metric is not known; None when it is, though perhaps not bounded."""
    measure = entry.metrics.get(key)
    if measure is not None and math.isfinite(measure.value):
        return None
    found = saturated(entry, key)
    if found is None:
        return f"{short_name(key)} is not known"
    so_far = "" if saturation(entry, key) else " so far"
    return f"{short_name(key)} has no bound{so_far}: {found.message}"


def saturation(entry: Entry, key: str, level: float = _SURE) -> Diagnostic | None:
    """Return what says that a latency certainly has no bound: more was offered than could be served.

    It is certain where no trial of two or more kept up; else where a share of saturated trials within what the
    percentile leaves above it would show as many of them with a probability below `level` (binomial). One trial alone
    is never enough: a host may have been slow for so long.
    """
    found = None if key in entry.metrics else saturated(entry, key)
    if found is None:
        return None
    affected, trials = (int(str(found.data.get(name, 1))) for name in ("affected", "trials"))
    beyond = 1.0 - LEVELS.get(split_key(key)[1], 1.0)
    likely = float(special.bdtrc(affected - 1, trials, beyond))
    return found if affected >= 2 and (affected == trials or likely < level) else None


def saturated(entry: Entry, key: str) -> Diagnostic | None:
    """Return what says that in some trials more was offered than could be served, if `key` is a latency of these."""
    name = split_key(key)[1]
    if not name.startswith("latency_"):
        return None
    said = (each for each in entry.diagnostics if each.code == "saturated")
    return next((each for each in said if each.data.get("prefix") == key.removesuffix(name)), None)


def variances(of: Estimate) -> list[tuple[float, float]]:
    """Give the variance and df of each part of the noise: blocks, dataset rows, own."""
    return [(float(of.blocks @ of.blocks), of.df), (float(of.rows @ of.rows), math.inf), (of.own**2, of.own_df)]


def standard_error(of: Estimate) -> float:
    """Give the standard error of the value, or of its logarithm if `of.log`."""
    return math.sqrt(sum(variance for variance, _ in variances(of)))


def degrees(parts: list[tuple[float, float]]) -> float:
    """Give the degrees of freedom of a sum of variances: Satterthwaite (1946). Parts are (variance, df)."""
    total = sum(variance for variance, _ in parts)
    spent = sum(variance**2 / df for variance, df in parts if math.isfinite(df))
    return total**2 / spent if spent > 0 else math.inf


def t_quantile(p: float, df: float) -> float:
    """Give Student's quantile; the normal one for infinite `df`."""
    return float(special.ndtri(p) if math.isinf(df) else special.stdtrit(df, p))


def t_cdf(t: float, df: float) -> float:
    """Give the probability of Student's distribution below `t`; the normal one for infinite `df`."""
    return float(special.ndtr(t) if math.isinf(df) else special.stdtr(df, t))


def _from_loads(measure: Measure, given: tuple[float, ...], trials: Floats) -> Estimate:
    """Take the influence of each trial on a percentile of pooled requests, on logarithms, as the noise of the value.

    Comparisons are made from the trials' own percentiles. Influences on a tail are not linear: where the host drifts,
    its slowest block has nearly all of them, in all cells alike.
    """
    loads = np.array(given, dtype=np.float64)
    ran = np.isfinite(loads)
    k, found = int(ran.sum()), np.where(ran, loads, 0.0)
    known = k >= 2 and measure.low is not None
    if np.isfinite(trials).sum() >= 2:
        by_block = np.log(trials) - math.log(measure.value)
    else:
        by_block = loads * math.sqrt(k * max(k - 1, 1))
    return Estimate(measure.value, True, found, max(k - 1.0, 1.0), certain=known, by_block=by_block)


def _from_trials(measure: Measure, trials: Floats, log: bool, key: str) -> Estimate:
    """Load each block with its residual, so that Σ load² = s²/k, the squared standard error of a mean.

    If the interval within trials is wider than that between them, the rest of its variance is added.
    """
    ran = np.isfinite(trials)
    values = np.log(trials[ran]) if log else trials[ran]
    residuals = values - values.mean()
    residuals[np.abs(residuals) < 1e-12 * max(1.0, float(np.abs(values).max()))] = 0.0
    loads = np.zeros(trials.size)
    loads[ran] = residuals / math.sqrt(values.size * (values.size - 1))
    within = _half_width(measure, log) if measure.basis == "within" else 0.0
    own = math.sqrt(max(0.0, within**2 / 1.96**2 - float(loads @ loads)))
    by_block = np.full(trials.size, np.nan)
    by_block[ran] = values - (math.log(measure.value) if log else measure.value)
    df = values.size - 1.0
    return Estimate(measure.value, log, loads, df, own=own, own_key=_content(measure, key), by_block=by_block)


def _from_interval(measure: Measure, log: bool, key: str) -> Estimate:
    """Take the standard error from an interval whose trials are not given; no noise is shared with other cells."""
    if measure.low is None:
        return Estimate(measure.value, log, certain=False)
    df = measure.trials - 1.0 if measure.basis == "between" else math.inf
    own = _half_width(measure, log) / t_quantile(0.975, df)
    return Estimate(measure.value, log, own=own, own_key=_content(measure, key), own_df=df)


def _from_rows(value: float, log: bool, scores: RowScores) -> Estimate:
    """Load each dataset row; "root" and `log` follow by the delta method."""
    values = np.asarray(scores.values, dtype=np.float64)
    weights = np.ones(values.size) if scores.weights is None else np.asarray(scores.weights, dtype=np.float64)
    slope = 1.0 if scores.transform == "mean" else 1.0 / (2.0 * value) if value > 0 else 0.0
    slope = slope / value if log else slope
    if scores.transform == "mean" and bool(np.all((values == 0.0) | (values == 1.0))):
        rows, own, own_key = _binary_loads(values, weights)
        return Estimate(value, log, rows=slope * rows, own=slope * own, own_key=own_key)
    counted = np.count_nonzero(weights)
    if counted < 2:
        return Estimate(value, log, certain=False)
    residuals = weights * (values - np.average(values, weights=weights)) / weights.sum()
    loads = residuals * math.sqrt(counted / (counted - 1.0))
    return Estimate(value, log, rows=slope * np.concatenate((np.zeros(_PSEUDO - 1), loads)))


def _binary_loads(values: Floats, weights: Floats) -> tuple[Floats, float, int]:
    """Load each row with its residual, after adding two pseudo-rows of value 1 and two of value 0.

    Σ load² is the Agresti-Coull variance p̃(1 − p̃)/ñ, so that 100 % of few rows is not certain. Three
    pseudo-rows are shared by all cells; the fourth belongs to the vector, which gives a difference about
    the variance (b + c + 2)/ñ² of Bonett & Price (2012); b and c count the rows on which the two differ.
    With weights, a pseudo-row weighs Σw²/Σw, so that ñ agrees with Kish's effective sample size.
    """
    total = float(weights.sum())
    pseudo = float(weights @ weights) / total
    n = total + _PSEUDO * pseudo
    fraction = (float(weights @ values) + _PSEUDO / 2 * pseudo) / n
    rarer = 0.0 if fraction >= 0.5 else 1.0
    shared = np.concatenate(([1.0, 0.0, 1.0 - rarer], values))
    spread = np.concatenate((np.full(_PSEUDO - 1, pseudo), weights))
    own_key = zlib.crc32(np.packbits(values > 0).tobytes())
    return spread * (shared - fraction) / n, pseudo * (rarer - fraction) / n, own_key


def _half_width(measure: Measure, log: bool) -> float:
    """Give half the interval, of logarithms if `log`; the lower half where there is no upper end."""
    low, high = measure.low, measure.high
    if low is None:
        return 0.0
    if log and low > 0:
        return math.log(measure.value / low) if high is None else math.log(high / low) / 2.0
    half = measure.value - low if high is None else (high - low) / 2.0
    return half / measure.value if log else half


def _content(measure: Measure, key: str) -> int:
    return zlib.crc32(repr((key, measure.value, measure.low, measure.high, measure.n)).encode())
