"""Every pair of cells compared within blocks, with variances that learn from all cells.

Five blocks estimate a variance badly, and the t distribution makes one pay for it: at the levels a race tests
at, a plain paired t needs a difference three times as large as known variances would. Other cells tell what
noise is usual here (`additive.prior`), which buys most of that back.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.stats.additive import fit, prior

Floats: TypeAlias = npt.NDArray[np.float64]


class Pairs(NamedTuple):
    """Matrices [first, second] over the compared cells: shared blocks, mean difference, standard error, df.

    `effect` is first - second in the values' unit. All but `n` are NaN where fewer than two blocks are
    shared.
    """

    n: npt.NDArray[np.int64]
    effect: Floats
    error: Floats
    df: Floats


def compare(values: Floats, cells: npt.NDArray[np.intp] | None = None) -> Pairs:
    """Compare cells pairwise on the blocks they share; `values[block, cell]`, NaN where a cell did not run.

    All cells inform the variances, the ones listed (default all) are compared. A pair's variance is its
    own, moderated towards twice the usual cell's (Smyth 2004), and never below its own, because one noisy
    cell among quiet ones must not borrow their precision. Cells dropped earlier still inform the prior.
    """
    chosen = values if cells is None else values[:, cells]
    gaps = chosen[:, :, None] - chosen[:, None, :]
    shared = ~np.isnan(gaps)
    n = shared.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = np.where(shared, gaps, 0.0).sum(axis=0) / np.where(n >= 2, n, np.nan)
        own = np.where(shared, gaps - effect, 0.0)
        variance, df = _moderated((own**2).sum(axis=0) / (n - 1), n - 1.0, values)
        return Pairs(n, effect, np.where(n >= 2, np.sqrt(variance / n), np.nan), np.where(n >= 2, df, np.nan))


def p_better(pairs: Pairs) -> Floats:
    """Give the one-sided p-value of "first is better than second" per pair; NaN where they share too little.

    A difference without any spread is certain: 0 in favour, 1 otherwise.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        p = special.stdtr(pairs.df, -pairs.effect / pairs.error)
    certain = np.where(pairs.effect > 0, 0.0, 1.0)
    return np.asarray(np.where(pairs.error == 0.0, certain, p), dtype=np.float64)


def margin_of(pairs: Pairs, level: float) -> Floats:
    """Give the half-width of each pair's interval with `level` in each tail, in the values' unit."""
    return np.asarray(special.stdtrit(pairs.df, 1.0 - level) * pairs.error, dtype=np.float64)


def _moderated(own: Floats, df: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Give variances of differences and their df after moderation.

    A difference adds two cells' variances, so the prior's relative spread halves and its df double; and the
    prior knows no more than the fit holds beyond the pair itself.
    """
    fitted = fit(values)
    usual, rest = prior(fitted), fitted.df - df
    if usual.df == 0.0:
        return own, df
    prior_df = np.where(rest > 0, 1.0 / (1.0 / (2.0 * usual.df) + 1.0 / np.maximum(rest, 1.0)), 0.0)
    shrunk = (prior_df * 2.0 * usual.variance + df * own) / (prior_df + df)
    return np.maximum(shrunk, own), prior_df + df
