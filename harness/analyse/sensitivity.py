"""Which difference the blocks of a run can tell, at the level that the ranking really uses."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from harness.score.assess import estimates_of
from harness.score.compare import TIE_MARGIN, NoiseSensitivity, gap_of, pairs_of, sensitivity_of, sum_of_noise
from harness.score.estimate import estimate, t_quantile
from harness.score.records import Entry
from harness.score.settle import Gap, steps_from
from harness.score.weights import single_log_metric, weighting_of
from harness.score.words import percent, rounded, short_name
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.policy import Policy
from harness.stats.ranksets import ALPHA

POWER = 0.9
FINE = 0.02
"""The ratio called a tie; the note says how many blocks would find it. Of scores it is `TIE_MARGIN`."""
_FEWEST_BLOCKS = 3


class _Seen(NamedTuple):
    """The noise of the typical pair, the blocks most rows have, and how many rows are compared."""

    gap: Gap
    blocks: int
    rows: int


def sensitivity(entries: Sequence[Entry], policy: Policy) -> Diagnostic | None:
    """Say by how much a typical pair of rows must differ to be told apart, in what decides.

    That is the ratio of the policy's single metric on a log scale, else the difference of scores. As the ranking does
    it: differences within blocks, variances moderated by the noise of all rows, and the level that holds for all pairs
    at once, before any is told apart. None where that is not known.
    """
    key = single_log_metric(policy)
    noise = _of_scores(entries, policy) if key is None else _of_metric(entries, key)
    seen = _seen(noise)
    if seen is None:
        return None
    level = ALPHA / (seen.rows * (seen.rows - 1))
    found, fine = _detectable(seen.gap, level), TIE_MARGIN if key is None else math.log1p(FINE)
    wanted = _blocks_wanted(seen, level, fine) if found > fine else None
    data: dict[str, Any] = {"metric": key, "blocks": seen.blocks, "rows": seen.rows, "wanted_blocks": wanted}
    text = f"with {seen.blocks} blocks, a typical pair of {seen.rows} rows is told apart in {percent(POWER)} of runs if"
    if key is None:
        text, data = text + f" its scores differ by {found:.3f}", data | {"difference": found}
    else:
        ratio = math.expm1(found)
        by = percent(ratio, 1) if ratio < 1.0 else f"a factor of {1.0 + ratio:.1f}"
        text, data = text + f" its {short_name(key)} differs by {by}", data | {"ratio": ratio}
    smaller = f"{TIE_MARGIN:g}" if key is None else percent(FINE)
    text += "" if wanted is None else f"; {smaller} would take about {rounded(wanted):,} blocks"
    return diagnostic("sensitivity", text, **data)


def _of_metric(entries: Sequence[Entry], key: str) -> list[NoiseSensitivity]:
    """Return the noise of a metric's logarithm, of the rows where it is known."""
    found = [each for entry in entries if (each := estimate(entry, key)) is not None and each.log]
    return [sum_of_noise([(each, 1.0)]) for each in found]


def _of_scores(entries: Sequence[Entry], policy: Policy) -> list[NoiseSensitivity]:
    """Return the noise of the scores, of the rows where all objectives are known."""
    weighting = weighting_of(policy, policy.objectives)
    found = [estimates_of(entry, policy) for entry in entries]
    known = [each for each in found if all(each[key] is not None for key in weighting.keys)]
    return [sensitivity_of(each, weighting, policy) for each in known] if weighting.keys else []


def _seen(noise: Sequence[NoiseSensitivity]) -> _Seen | None:
    """Look at the pairs that share three blocks or more; the typical one has the median variance."""
    certain = [each for each in noise if each.certain]
    enough = [each for each in certain if _blocks(each) >= _FEWEST_BLOCKS]
    pairs = pairs_of(np.zeros(len(enough)), enough)
    gaps = [gap_of(pairs, i, j) for i in range(len(enough)) for j in range(i)]
    noisy = [gap for gap in gaps if 0 < gap.by_blocks < math.inf]
    if not noisy:
        return None
    blocks = int(np.median([_blocks(each) for each in enough]))
    return _Seen(sorted(noisy, key=lambda gap: gap.error)[len(noisy) // 2], blocks, len(certain))


def _blocks(of: NoiseSensitivity) -> int:
    return int(np.isfinite(of.by_block).sum())


def _detectable(gap: Gap, level: float) -> float:
    """Return the difference that a one-sided test at `level` finds with the power wanted; from the noncentral t.

    Where a part of the noise is fixed, as that of dataset rows: the test's half-width and the normal quantile of the
    power, in standard errors.
    """
    if gap.fixed > 0.0 or math.isinf(gap.df):
        return gap.half_width(level) + t_quantile(POWER, math.inf) * gap.error
    return float(special.nctdtrinc(gap.df, 1.0 - POWER, t_quantile(1.0 - level, gap.df))) * gap.error


def _blocks_wanted(seen: _Seen, level: float, fine: float) -> int | None:
    """Return the blocks after which a difference of `fine` would be found; None if no affordable number is enough."""
    steps = steps_from(seen.blocks)
    return next((n for n in steps if _detectable(seen.gap.after(seen.blocks, n), level) <= fine), None)
