"""Two cells compared block by block: what a block shares, such as the host's drift, cancels.

Every array holds one number per block, in block order, NaN where a cell did not run. Positive effects
mean that the first of the two is better when numbers are utilities (higher is better).
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.stats.interval import Interval

Floats: TypeAlias = npt.NDArray[np.float64]

MOST_BLOCKS = 10_000


def differences(first: Floats, second: Floats) -> Floats:
    """Give first - second per block; NaN where either is missing."""
    return np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)


def log_ratios(first: Floats, second: Floats) -> Floats:
    """Give log(first / second) per block; NaN where either is missing or not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = differences(np.log(first), np.log(second))
    return np.where(np.isfinite(logs), logs, np.nan)


def p_worse(leader_minus_cell: Floats) -> float:
    """Give the one-sided p-value of "the cell is worse than the leader" from utilities' paired differences.

    Student's t on the blocks that both ran; 1 with fewer than two of them. Where differences do not vary at
    all, 0 if they favour the leader and 1 otherwise.
    """
    present = leader_minus_cell[~np.isnan(leader_minus_cell)]
    if present.size < 2:
        return 1.0
    error = float(present.std(ddof=1)) / math.sqrt(present.size)
    if error == 0.0:
        return 0.0 if present.mean() > 0 else 1.0
    return float(special.stdtr(present.size - 1, -float(present.mean()) / error))


def paired_interval(paired: Floats, confidence: float = 0.95) -> Interval:
    """Give Student's t interval of the mean paired difference; unbounded with fewer than two blocks."""
    present = paired[~np.isnan(paired)]
    if present.size < 2:
        return Interval(-math.inf, math.inf)
    error = float(present.std(ddof=1)) / math.sqrt(present.size)
    margin = float(special.stdtrit(present.size - 1, (1.0 + confidence) / 2.0)) * error
    return Interval(float(present.mean()) - margin, float(present.mean()) + margin)


def detection_power(effect: float, sd: float, blocks: int, alpha: float = 0.05) -> float:
    """Give the chance that a two-sided paired t-test at `alpha` finds a true mean difference of `effect`.

    `sd` is that of one paired difference, in the effect's unit. From the noncentral t distribution; only
    findings of the right sign count.
    """
    if blocks < 2:
        return 0.0
    if sd == 0.0:
        return 1.0 if effect != 0.0 else 0.0
    critical = float(special.stdtrit(blocks - 1, 1.0 - alpha / 2.0))
    return 1.0 - float(special.nctdtr(blocks - 1, abs(effect) / sd * math.sqrt(blocks), critical))


def blocks_needed(effect: float, sd: float, alpha: float = 0.05, power: float = 0.9) -> int | None:
    """Give the fewest blocks that find `effect` with this power; `None` if 10,000 do not suffice.

    `effect` and `sd` (of one paired difference) share a unit, such as log-ratio. For "n more blocks would
    settle it", subtract the blocks already measured.
    """
    low, high = 1, 2
    while detection_power(effect, sd, high, alpha) < power:
        low, high = high, 2 * high
        if low > MOST_BLOCKS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if detection_power(effect, sd, middle, alpha) >= power else (middle, high)
    return high


def minimum_detectable(blocks: int, sd: float, alpha: float = 0.05, power: float = 0.9) -> float:
    """Give the smallest true mean difference that this many blocks find with this power, in the unit of `sd`.

    Infinite with fewer than two blocks.
    """
    if blocks < 2:
        return math.inf
    low, high = 0.0, sd
    while detection_power(high, sd, blocks, alpha) < power:
        low, high = high, 2.0 * high
        if high == 0.0:
            return 0.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (low, middle) if detection_power(middle, sd, blocks, alpha) >= power else (middle, high)
    return high
