"""How many samples a trial is worth: trials × samples chosen by how variance splits between the two."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.analyse.trials import TrialFacts
from harness.spec.metrics import PERCENTILES
from harness.stats.quantiles import samples_needed
from harness.stats.variance import samples_per_trial, split
from harness.trial.folder import read_array

FEWEST_TRIALS = 3
LEAST = 2 * samples_needed(PERCENTILES["latency_p99_ms"])
_READ = 20_000


def samples_wanted(trials: Sequence[TrialFacts], scenario: str, overhead_s: float) -> int | None:
    """Return the samples per trial that make the mean most precise for its cost; None: too early to say.

    The optimum of Kalibera & Jones (ISMM 2013) on the logarithms of samples, rounded up to a power of two,
    never below what a two-sided p99 interval needs twice over.

    Args:
        trials: trials of one cell.
        scenario: the single-stream scenario to size.
        overhead_s: what starting a trial takes beside measuring.
    """
    windows = [_window(trial, scenario) for trial in trials]
    if len(trials) < FEWEST_TRIALS or any(len(window) < 2 for window in windows):
        return None
    per_sample = float(np.median(np.concatenate(windows))) / 1e9
    parts = split([np.log(window) for window in windows])
    best = samples_per_trial(parts, max(overhead_s, 1e-3), max(per_sample, 1e-9))
    return max(LEAST, 1 << math.ceil(math.log2(best)))


def _window(trial: TrialFacts, scenario: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    path = trial.folder / "samples" / f"{scenario}.npy"
    if not path.exists():
        return np.zeros(0)
    return np.maximum(read_array(path)[:_READ].astype(np.float64), 1.0)
