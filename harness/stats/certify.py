"""Is "p99 <= bound" proved, disproved, or open? Early stopping as in MLPerf LoadGen, with planned looks.

Only the number of samples over the bound matters, so the verdict is exact for any distribution of independent
samples (Clopper-Pearson). Looking after every sample would raise the error from 1 % to 8-17 %, so looks are
planned, they grow by half, and each gets an equal share of the error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.stats.order import check_share

GROWTH = 1.5
LOOKS = 8

Verdict: TypeAlias = Literal["holds", "broken", "undecided"]


def samples_needed(p: float = 0.99, over: int = 0, alpha: float = 0.01) -> int:
    """Give the fewest samples that certify the p-quantile with `over` of them over the bound, looking once.

    The smallest n with P(Binomial(n, 1-p) <= over) = I_p(n-over, over+1) <= alpha: 459, 662, 1307 and
    2010 for 0, 1, 5 and 10 over at p99 and 1 %. Raises `ValueError` for shares outside (0, 1) or a
    negative count.
    """
    check_share(p, "p")
    check_share(alpha, "alpha")
    if over < 0:
        raise ValueError(f"the number of samples over the bound cannot be negative, not {over}")
    low, high = over, over + 1
    while special.bdtr(over, high, 1.0 - p) > alpha:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if special.bdtr(over, middle, 1.0 - p) <= alpha else (middle, high)
    return high


def planned_looks(looks: int = LOOKS, p: float = 0.99, alpha: float = 0.01) -> tuple[int, ...]:
    """Give the sample counts at which to look: n_0 * 1.5^k, rounded up, n_0 enough for one over (662)."""
    first = samples_needed(p, 1, alpha)
    return tuple(int(np.ceil(first * GROWTH**k)) for k in range(looks))


def certify(n: int, over: int, p: float = 0.99, alpha: float = 0.01, looks: int = LOOKS) -> Verdict:
    """Judge "the p-quantile is within the bound" from `over` of n samples over it.

    "undecided" at any n that is not a planned look. Whichever verdict, it is false with probability at most
    `alpha` over all looks: each look tests each direction at alpha / looks.
    Raises `ValueError` if `over` is not between 0 and n.
    """
    if not 0 <= over <= n:
        raise ValueError(f"between 0 and {n} samples can be over the bound, not {over}")
    if n not in planned_looks(looks, p, alpha):
        return "undecided"
    if special.bdtr(over, n, 1.0 - p) <= alpha / looks:
        return "holds"
    at_least = special.bdtrc(over - 1, n, 1.0 - p) if over > 0 else 1.0
    return "broken" if at_least <= alpha / looks else "undecided"


def certify_in_order(
    latencies: npt.NDArray[Any] | Sequence[float],
    bound: float,
    p: float = 0.99,
    alpha: float = 0.01,
    looks: int = LOOKS,
) -> Verdict:
    """Judge samples in the order they were measured: the verdict of the first planned look that decides.

    `latencies` and `bound` share a unit. Samples beyond the last look reached are not used.
    """
    over = np.cumsum(np.asarray(latencies) > bound)
    for n in planned_looks(looks, p, alpha):
        if n > over.size:
            break
        verdict = certify(n, int(over[n - 1]), p, alpha, looks)
        if verdict != "undecided":
            return verdict
    return "undecided"
