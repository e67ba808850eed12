"""Whether "p99 <= bound" is proved, disproved, or undecided: early stopping as in MLPerf LoadGen, at planned looks.

The certificate depends only on the number of samples over the bound, so it is exact for independent samples of
any distribution (Clopper-Pearson). A look after every sample would raise the error from 1 % to 8-17 %. So looks
are planned, each at 1.5 times the samples of the one before, and the error is divided equally among them.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from scipy import special

from harness.spec.arrays import Array
from harness.stats.quantiles import check_fraction

GROWTH = 1.5
LOOKS = 8

Certificate: TypeAlias = Literal["holds", "broken", "undecided"]


def samples_to_certify(p: float = 0.99, over: int = 0, alpha: float = 0.01) -> int:
    """Return the fewest samples that certify the p-quantile in one look with `over` of them over the bound.

    The smallest n with P(Binomial(n, 1-p) <= over) = I_p(n-over, over+1) <= alpha: 459, 662, 1307 and
    2010 for 0, 1, 5 and 10 over at p99 and 1 %. Raises `ValueError` for fractions outside (0, 1) or a
    negative count.
    """
    check_fraction(p, "p")
    check_fraction(alpha, "alpha")
    if over < 0:
        raise ValueError(f"the number of samples over the bound cannot be negative, not {over}")
    enough = over + 1
    while special.bdtr(over, enough, 1.0 - p) > alpha:
        enough *= 2
    return bisect_left(range(enough), True, lo=over + 1, key=lambda n: bool(special.bdtr(over, n, 1.0 - p) <= alpha))


def planned_looks(looks: int = LOOKS, p: float = 0.99, alpha: float = 0.01) -> tuple[int, ...]:
    """Return the sample counts of the looks: n_0 * 1.5^k, rounded up, with n_0 enough for one over (662)."""
    first = samples_to_certify(p, 1, alpha)
    return tuple(int(np.ceil(first * GROWTH**k)) for k in range(looks))


def certify(n: int, over: int, p: float = 0.99, alpha: float = 0.01, looks: int = LOOKS) -> Certificate:
    """Decide whether the p-quantile is within the bound when `over` of n samples are over it.

    "undecided" at any n that is not a planned look. "holds" and "broken" are each false with probability at
    most `alpha` over all looks: each look tests each direction at alpha / looks.
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
    latencies: Array | Sequence[float], bound: float, p: float = 0.99, alpha: float = 0.01, looks: int = LOOKS
) -> Certificate:
    """Return the certificate of the first planned look that decides, for samples in measurement order.

    `latencies` and `bound` share a unit. Samples after the last look reached are not used.
    """
    over = np.cumsum(np.asarray(latencies) > bound)
    reached = [n for n in planned_looks(looks, p, alpha) if n <= over.size]
    found = (certify(n, int(over[n - 1]), p, alpha, looks) for n in reached)
    return next((each for each in found if each != "undecided"), "undecided")
