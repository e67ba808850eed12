"""How runs of the same thing differ: noise that the trials inside one run do not show.

Two runs on one host at different times differ as a whole (what the host does meanwhile), and each row in its own way.
Both are seen only over several runs: m runs tell the common part with m - 1 degrees of freedom, however many rows they
have, and the rows' own part with about (m - 1)(rows - 1).
"""

from typing import NamedTuple

import numpy as np

from harness.spec.arrays import Floats
from harness.stats.additive import Prior, fit, prior
from harness.stats.change import Part

FEWEST_RUNS = 3


class RunNoise(NamedTuple):
    """Standard deviations of one run's values, in their unit: common to its rows, and each row's own."""

    common: Part
    own: tuple[Part, ...]


def run_noise(values: Floats) -> RunNoise:
    """Estimate the noise between runs from `values[run, row]`; NaN where a run lacks a row.

    The own noise of a row is moderated towards that of all rows (Smyth 2004), but never below the row's own. With one
    row, all noise counts as common. Raises `ValueError` for fewer than three runs.
    """
    runs, rows = values.shape
    if runs < FEWEST_RUNS:
        raise ValueError(f"{runs} runs do not tell how runs differ: {FEWEST_RUNS} are needed at least")
    fitted = fit(values)
    usual = prior(fitted)
    deviations = values - fitted.cells
    effects = np.nanmean(deviations, axis=1)
    known = np.isfinite(effects)
    common = Part(float(np.std(effects[known], ddof=1)), float(np.count_nonzero(known)) - 1.0)
    return RunNoise(common, tuple(_own(fitted.residuals[:, row], usual) for row in range(rows)))


def _own(residuals: Floats, usual: Prior) -> Part:
    """Return the noise of a row from its residuals; 0 where all of it is common."""
    ran = np.isfinite(residuals)
    df = max(float(np.count_nonzero(ran)) - 1.0, 1.0)
    variance = float(np.square(residuals[ran]).sum()) / df
    if usual.df == 0.0:
        return Part(variance**0.5, df)
    moderated = (usual.df * usual.variance + df * variance) / (usual.df + df)
    return Part(max(moderated, variance) ** 0.5, usual.df + df)
