"""Blocks × cells as a sum of a block effect and a cell effect, and what is left as noise.

NaN marks a cell that did not run in a block. With nothing missing the fit is exact after one round.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

Floats: TypeAlias = npt.NDArray[np.float64]

ROUNDS = 100
CONVERGED = 1e-10
FEWEST_CELLS = 3
FEWEST_BLOCKS = 3


class Fit(NamedTuple):
    """A least-squares fit: cell effects and residuals (NaN where nothing ran), and the residuals' df."""

    cells: Floats
    residuals: Floats
    df: int


class Prior(NamedTuple):
    """The noise variance of a usual cell, and the degrees of freedom it is worth; 0: nothing is known."""

    variance: float
    df: float


NO_PRIOR = Prior(0.0, 0.0)


def fit(values: Floats) -> Fit:
    """Fit values[block, cell] = block + cell + noise by alternating means (backfitting)."""
    ran = ~np.isnan(values)
    per_cell, per_block = np.maximum(ran.sum(axis=0), 1), np.maximum(ran.sum(axis=1), 1)
    residuals = np.where(ran, values, 0.0)
    cells = np.zeros(values.shape[1])
    scale = float(np.abs(residuals).max(initial=0.0))
    for _ in range(ROUNDS):
        blocks = residuals.sum(axis=1) / per_block
        residuals = np.where(ran, residuals - blocks[:, None], 0.0)
        steps = residuals.sum(axis=0) / per_cell
        residuals = np.where(ran, residuals - steps, 0.0)
        cells = cells + steps
        if float(np.abs(steps).max(initial=0.0)) <= CONVERGED * scale:
            break
    df = int(ran.sum()) - int(ran.any(axis=0).sum()) - int(ran.any(axis=1).sum()) + 1
    return Fit(np.where(ran.any(axis=0), cells, np.nan), np.where(ran, residuals, np.nan), max(df, 0))


def prior(fitted: Fit) -> Prior:
    """Estimate how noisy cells are in general, and how alike: the prior of Smyth 2004 (limma), section 6.2.

    Cells' residual variances are taken as draws from a scaled inverse chi-square distribution, whose
    scale and degrees of freedom follow from the mean and variance of their logarithms. Two departures,
    both careful: cells are never believed to be more alike than so few variances can show (one standard
    error is added), and the degrees of freedom never exceed those left in the fit.
    """
    variances, dfs = _residual_variances(fitted)
    if variances.size < FEWEST_CELLS or not np.all(variances > 0):
        return NO_PRIOR
    logs = np.log(variances) - special.digamma(dfs / 2) + np.log(dfs / 2)
    sampling = float(special.polygamma(1, dfs / 2).mean())
    excess = float(logs.var(ddof=1)) - sampling
    excess = max(excess, sampling * float(np.sqrt(2.0 / (variances.size - 1))))
    df = 2.0 * _trigamma_inverse(excess)
    variance = float(np.exp(logs.mean() + special.digamma(df / 2) - np.log(df / 2)))
    return Prior(variance, df)


def _residual_variances(fitted: Fit) -> tuple[Floats, Floats]:
    """Give per cell with enough blocks the residual variance and its degrees of freedom, (n-1)(1-1/k)."""
    ran = ~np.isnan(fitted.residuals)
    blocks = ran.sum(axis=0)
    enough = blocks >= FEWEST_BLOCKS
    companions = (ran * ran.sum(axis=1)[:, None]).sum(axis=0)[enough] / blocks[enough]
    dfs = (blocks[enough] - 1) * (1.0 - 1.0 / np.maximum(companions, 2.0))
    squares = np.nansum(fitted.residuals[:, enough] ** 2, axis=0)
    return squares / dfs, dfs


def _trigamma_inverse(value: float) -> float:
    """Solve trigamma(y) = value by Newton's method, as in Smyth 2004, appendix."""
    y = 0.5 + 1.0 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, y))
        step = trigamma * (1.0 - trigamma / value) / float(special.polygamma(2, y))
        y += step
        if abs(step) < 1e-8 * y:
            break
    return y
