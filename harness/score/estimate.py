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
from harness.spec.arrays import Floats
from harness.spec.metrics import PERCENTILES, lookup, split_key
from harness.stats.quantiles import samples_needed

_NONE: Floats = np.zeros(0)
_PSEUDO = 4  # pseudo-rows of Agresti & Coull, Approximate is better than "exact" (1998)


class Estimate(NamedTuple):
    """A value with the loads of its noise, on log(value) if `log`, else in the metric's unit.

    `blocks` has one load per block, with `df` degrees of freedom behind them; `rows` one per dataset row
    (after three pseudo-rows); `own` is the load of a source of its own, known by `own_key`, with `own_df`.
    `certain` is False where there is one trial only: the spread is then not 0 but not known.
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


def estimate(entry: Entry, key: str) -> Estimate | None:
    """Estimate a metric of an entry; None where it is not known (see `why_unknown`)."""
    if why_unknown(entry, key) is not None:
        return None
    measure = entry.metrics[key]
    trials = np.array(entry.trials.get(key, ()), dtype=np.float64)
    ran = trials[np.isfinite(trials)]
    log = lookup(key).scale == "log" and measure.value > 0 and bool(np.all(ran > 0))
    scores = entry.rows.get(key)
    if scores is not None and scores.values.size > 0:
        return _from_rows(measure.value, log, scores)
    if measure.basis == "exact":
        return Estimate(measure.value, log)
    if ran.size >= 2 and measure.basis != "rows":
        return _from_trials(measure, trials, log, key)
    if measure.basis == "rows" or measure.trials >= 2:
        return _from_interval(measure, log, key)
    return Estimate(measure.value, log, certain=False)


def why_unknown(entry: Entry, key: str) -> str | None:
    """Say why a metric cannot be used as known; None when it can."""
    measure = entry.metrics.get(key)
    if measure is None or not math.isfinite(measure.value):
        return f"{short_name(key)} is not known"
    p = PERCENTILES.get(split_key(key)[1])
    if p is None or (measure.low is not None and measure.high is not None):
        return None
    needed, each = samples_needed(p), measure.n // max(measure.trials, 1)
    if measure.trials < 2 and each >= needed:
        return None
    had = f" (has {each:,})" if each < needed else ""
    return f"{short_name(key)} needs at least {needed:,} samples in a trial{had}"


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
    return Estimate(measure.value, log, loads, values.size - 1.0, own=own, own_key=_content(measure, key))


def _from_interval(measure: Measure, log: bool, key: str) -> Estimate:
    """Take the standard error from an interval whose trials are not given; no noise is shared with other cells."""
    if measure.low is None or measure.high is None:
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
    if measure.low is None or measure.high is None:
        return 0.0
    if log and measure.low > 0:
        return math.log(measure.high / measure.low) / 2.0
    half = (measure.high - measure.low) / 2.0
    return half / measure.value if log else half


def _content(measure: Measure, key: str) -> int:
    return zlib.crc32(repr((key, measure.value, measure.low, measure.high, measure.n)).encode())
