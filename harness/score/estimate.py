"""What one row knows of one metric: a value, and the sources of noise behind it.

The noise of an estimate is a weighted sum of independent standard normals ("loads" are the weights). A source
belongs to a block, to a dataset row, or to the content of a measure, never to the row's place in the table.
So rows that ran in the same blocks, or predicted the same dataset rows, share noise, and it cancels where
they are compared; two rows with the same data share all of it.
"""

from __future__ import annotations

import math
import zlib
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

from harness.score.records import Entry, Measure
from harness.score.words import short_name
from harness.spec.metrics import PERCENTILES, lookup, split_key

Floats: TypeAlias = NDArray[np.float64]

CORRECT = "accuracy"  # the metric that Entry.correct is the detail of
_NONE: Floats = np.zeros(0)
_PSEUDO = 4  # pseudo-rows of Agresti & Coull, Approximate is better than "exact" (1998)


class Estimate(NamedTuple):
    """A value with the loads of its noise, on log(value) if `log`, else in the metric's unit.

    `blocks` has one load per block, with `df` degrees of freedom behind them; `rows` one per dataset row
    (after three pseudo-rows); `own` is the load of a source of its own, known by `own_key`, with `own_df`.
    `certain` is False where one trial is all there is: the spread is then not 0 but not known.
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
    if key == CORRECT and entry.correct is not None and entry.correct.size > 0:
        return _from_correct(measure.value, entry.correct)
    trials = np.array(entry.trials.get(key, ()), dtype=np.float64)
    ran = trials[np.isfinite(trials)]
    log = lookup(key).scale == "log" and measure.value > 0 and bool(np.all(ran > 0))
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
    share = PERCENTILES.get(split_key(key)[1])
    if share is None or (measure.low is not None and measure.high is not None):
        return None
    needed, each = samples_needed(share), measure.n // max(measure.trials, 1)
    if measure.trials < 2 and each >= needed:
        return None
    had = f" (has {each:,})" if each < needed else ""
    return f"{short_name(key)} needs at least {needed:,} samples in a trial{had}"


def samples_needed(share: float) -> int:
    """Give the fewest samples whose extremes bound a percentile from both sides at 95 %: 368 for p99."""
    return math.ceil(math.log(0.025) / math.log(max(share, 1.0 - share)))


def standard_error(of: Estimate) -> float:
    """Give the standard error of the value, or of its logarithm if `of.log`."""
    return math.sqrt(float(of.blocks @ of.blocks) + float(of.rows @ of.rows) + of.own**2)


def degrees(parts: list[tuple[float, float]]) -> float:
    """Give the degrees of freedom of a sum of variances: Satterthwaite (1946). Parts are (variance, df)."""
    total = sum(variance for variance, _ in parts)
    spent = sum(variance**2 / df for variance, df in parts if math.isfinite(df))
    return total**2 / spent if spent > 0 else math.inf


def t_quantile(p: float, df: float) -> float:
    """Give Student's quantile; the normal one for infinite `df`."""
    return float(special.ndtri(p) if math.isinf(df) else special.stdtrit(df, p))


def t_share(t: float, df: float) -> float:
    """Give the share of Student's distribution below `t`; the normal one for infinite `df`."""
    return float(special.ndtr(t) if math.isinf(df) else special.stdtr(df, t))


def _from_trials(measure: Measure, trials: Floats, log: bool, key: str) -> Estimate:
    """Load each block with its residual, so that Σ load² = s²/k, the squared standard error of a mean.

    Where trials agree better than each knows its own percentile, the rest of the wider interval is added.
    """
    ran = np.isfinite(trials)
    k = int(ran.sum())
    values = np.log(trials, where=ran, out=np.zeros_like(trials)) if log else np.where(ran, trials, 0.0)
    residuals = np.where(ran, values - values[ran].mean(), 0.0)
    residuals[np.abs(residuals) < 1e-12 * max(1.0, float(np.abs(values).max()))] = 0.0
    loads = residuals / math.sqrt(k * (k - 1))
    own = 0.0
    if measure.basis == "within":
        own = math.sqrt(max(0.0, _half_width(measure, log) ** 2 / 1.96**2 - float(loads @ loads)))
    return Estimate(measure.value, log, loads, k - 1.0, own=own, own_key=_content(measure, key))


def _from_interval(measure: Measure, log: bool, key: str) -> Estimate:
    """Take the standard error from an interval whose trials are not given; nothing is shared with others."""
    half = _half_width(measure, log)
    if measure.low is None or measure.high is None:
        return Estimate(measure.value, log, certain=False)
    df = measure.trials - 1.0 if measure.basis == "between" else math.inf
    own = half / t_quantile(0.975, df)
    return Estimate(measure.value, log, own=own, own_key=_content(measure, key), own_df=df)


def _from_correct(value: float, correct: NDArray[np.bool_]) -> Estimate:
    """Load each dataset row with its residual, after adding two right and two wrong pseudo-rows.

    Σ load² is the Agresti-Coull variance p̃(1 − p̃)/ñ, so that 100 % of few rows is not certain. Three
    pseudo-rows are shared by all candidates; the fourth is the vector's own, which gives a difference about
    the variance (b + c + 2)/ñ² of Bonett & Price (2012); b and c count the rows on which the two differ.
    """
    n = correct.size + _PSEUDO
    share = (float(correct.sum()) + _PSEUDO / 2) / n
    rarer = 0.0 if share >= 0.5 else 1.0
    shared = np.concatenate(([1.0, 0.0, 1.0 - rarer], correct.astype(np.float64)))
    own_key = zlib.crc32(np.packbits(correct).tobytes())
    return Estimate(value, False, rows=(shared - share) / n, own=(rarer - share) / n, own_key=own_key)


def _half_width(measure: Measure, log: bool) -> float:
    if measure.low is None or measure.high is None:
        return 0.0
    if log and measure.low > 0:
        return math.log(measure.high / measure.low) / 2.0
    half = (measure.high - measure.low) / 2.0
    return half / measure.value if log else half


def _content(measure: Measure, key: str) -> int:
    return zlib.crc32(repr((key, measure.value, measure.low, measure.high, measure.n)).encode())
