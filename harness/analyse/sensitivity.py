"""Which difference the blocks of a run can tell, at the level that the ranking really uses."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from harness.score.compare import gap_of, pairs_of, sum_of_noise
from harness.score.estimate import estimate, t_quantile
from harness.score.records import Entry
from harness.score.settle import Gap, steps_from
from harness.score.words import short_name
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.metrics import lookup
from harness.spec.policy import Policy
from harness.stats.ranksets import ALPHA

POWER = 0.9
FINE = 0.02
"""The difference called a tie; the note says how many blocks would find it."""


class _Seen(NamedTuple):
    """The noise of the typical pair, the blocks most rows have, and how many rows are compared."""

    gap: Gap
    blocks: int
    rows: int


def sensitivity(entries: Sequence[Entry], policy: Policy) -> Diagnostic | None:
    """Say which ratio of the first positive objective a pair of rows must differ by to be told apart.

    As the ranking does it: differences within blocks, variances moderated by the noise of all rows, and the level
    that holds for all pairs at once, before any is told apart. None where that is not known.
    """
    for key in policy.objectives:
        seen = _seen(entries, key) if lookup(key).scale == "log" else None
        if seen is not None:
            level = ALPHA / (seen.rows * (seen.rows - 1))
            found, wanted = math.expm1(_detectable(seen.gap, level)), _blocks_wanted(seen, level)
            finer = f"; {FINE:.0%} would take about {wanted}" if wanted is not None and found > FINE else ""
            text = f"{seen.blocks} blocks tell any two of {seen.rows} rows apart that differ by {found:.1%} in "
            text += f"{short_name(key)}, in {POWER:.0%} of runs{finer}"
            return diagnostic(
                "sensitivity", text, metric=key, blocks=seen.blocks, rows=seen.rows, ratio=found, wanted_blocks=wanted
            )
    return None


def _seen(entries: Sequence[Entry], key: str) -> _Seen | None:
    """Measure the noise of pairs that share three blocks or more; the typical one has the median variance."""
    found = [each for entry in entries if (each := estimate(entry, key)) is not None and each.certain and each.log]
    enough = [each for each in found if each.ran.sum() >= 3]
    pairs = pairs_of(np.zeros(len(enough)), [sum_of_noise([(each, 1.0)]) for each in enough])
    gaps = [gap_of(pairs, i, j) for i in range(len(enough)) for j in range(i)]
    noisy = [gap for gap in gaps if 0 < gap.by_blocks < math.inf]
    if not noisy:
        return None
    blocks = int(np.median([each.ran.sum() for each in enough]))
    return _Seen(sorted(noisy, key=lambda gap: gap.error)[len(noisy) // 2], blocks, len(found))


def _detectable(gap: Gap, level: float) -> float:
    """Return the difference that a one-sided test at `level` finds with the power wanted; from the noncentral t."""
    critical = t_quantile(1.0 - level, gap.df)
    if math.isinf(gap.df):
        return (critical + t_quantile(POWER, math.inf)) * gap.error
    return float(special.nctdtrinc(gap.df, 1.0 - POWER, critical)) * gap.error


def _blocks_wanted(seen: _Seen, level: float) -> int | None:
    """Return the blocks after which `FINE` would be found; None if no affordable number is enough."""
    steps = steps_from(seen.blocks)
    return next((n for n in steps if _detectable(seen.gap.after(seen.blocks, n), level) <= math.log1p(FINE)), None)
