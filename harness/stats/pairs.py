"""Every pair of cells compared within blocks, with variances moderated by the noise of all cells.

Five blocks give a poor estimate of a variance. At the levels that a race tests at, a plain paired t-test then
needs a difference three times as large as with known variances. A prior for the noise, estimated from all cells
(`additive.prior`), removes most of this loss.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

from harness.spec.arrays import Floats, Indices, Integers
from harness.stats.additive import fit, prior


class Pairs(NamedTuple):
    """Matrices [first, second] over the compared cells: shared blocks, mean difference, standard error, df.

    `effect` is first - second in the values' unit. All but `n` are NaN where fewer than two blocks are shared.
    """

    n: Integers
    effect: Floats
    error: Floats
    df: Floats


def compare(values: Floats, cells: Indices | None = None) -> Pairs:
    """Compare cells pairwise on the blocks they share; `values[block, cell]`, NaN where a cell did not run.

    `cells` (default all) are compared; all cells, also dropped ones, determine the prior of the variances.
    A pair's variance is moderated towards the prior (Smyth 2004), but never below the pair's own variance:
    a noisy cell among quiet ones must not be tested with a variance that is too small.
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
    """Return the one-sided p-value of "first is better than second" per pair; NaN with fewer than two shared blocks.

    Where differences do not vary: 0 if they favour the first, otherwise 1.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        p = special.stdtr(pairs.df, -pairs.effect / pairs.error)
    certain = np.where(pairs.effect > 0, 0.0, 1.0)
    return np.asarray(np.where(pairs.error == 0.0, certain, p), dtype=np.float64)


def margin_of(pairs: Pairs, level: float) -> Floats:
    """Return the half-width of each pair's interval with `level` in each tail, in the values' unit."""
    return np.asarray(special.stdtrit(pairs.df, 1.0 - level) * pairs.error, dtype=np.float64)


def _moderated(own: Floats, df: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return variances of differences and their degrees of freedom after moderation.

    A difference adds the variances of two cells, so the prior's relative spread halves and its df double.
    The prior's df are limited by those of the fit without the pair.
    """
    fitted = fit(values)
    usual, rest = prior(fitted), fitted.df - df
    if usual.df == 0.0:
        return own, df
    prior_df = np.where(rest > 0, 1.0 / (1.0 / (2.0 * usual.df) + 1.0 / np.maximum(rest, 1.0)), 0.0)
    shrunk = (prior_df * 2.0 * usual.variance + df * own) / (prior_df + df)
    return np.maximum(shrunk, own), prior_df + df
