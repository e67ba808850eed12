"""What the blocks of a run could have told apart, and how many more a finer answer would take."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.score.records import Entry
from harness.score.words import short_name
from harness.spec.metrics import lookup
from harness.spec.policy import Policy
from harness.stats.paired import blocks_needed, log_ratios, minimum_detectable

POWER = 0.9
FINE = 0.02
"""The difference called a tie: worth saying how many blocks it would take to see."""


def sensitivity(entries: Sequence[Entry], policy: Policy) -> str | None:
    """Say which ratio of the first time-like objective the run's blocks find; None where nothing tells.

    The spread is the median, over pairs of rows, of the standard deviation of log-ratios within blocks.
    """
    for key in policy.objectives:
        trials = [np.array(e.trials[key]) for e in entries if lookup(key).scale == "log" and key in e.trials]
        spreads, blocks = _spreads(trials)
        if spreads:
            sd = float(np.median(spreads))
            found = np.expm1(minimum_detectable(blocks, sd, power=POWER))
            wanted = blocks_needed(float(np.log1p(FINE)), sd, power=POWER)
            finer = f"; {FINE:.0%} would take about {wanted}" if wanted is not None and found > FINE else ""
            return (
                f"{blocks} blocks find a difference of {found:.1%} in {short_name(key)} with {POWER:.0%} power{finer}"
            )
    return None


def _spreads(trials: Sequence[NDArray[np.float64]]) -> tuple[list[float], int]:
    """Return the spread of each pair of rows that share three blocks or more, and the blocks most rows have."""
    spreads: list[float] = []
    for index, one in enumerate(trials):
        for other in trials[index + 1 :]:
            shared = min(len(one), len(other))
            ratios = log_ratios(one[:shared], other[:shared])
            ratios = ratios[np.isfinite(ratios)]
            if len(ratios) >= 3:
                spreads.append(float(ratios.std(ddof=1)))
    counts = [int(np.isfinite(each).sum()) for each in trials]
    return [sd for sd in spreads if sd > 0], int(np.median(counts)) if counts else 0
