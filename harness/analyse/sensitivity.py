"""Which difference the blocks of a run can detect, and how many samples a trial of it is worth."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from harness.analyse.trials import TrialMetrics
from harness.score.records import Entry
from harness.score.words import short_name
from harness.spec.arrays import Floats
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.metrics import PERCENTILES, lookup
from harness.spec.policy import Policy
from harness.stats.paired import blocks_needed, log_ratios, minimum_detectable, samples_per_trial, split
from harness.stats.quantiles import samples_needed

POWER = 0.9
FINE = 0.02
"""The difference called a tie; the note says how many blocks would detect it."""


def sensitivity(entries: Sequence[Entry], policy: Policy) -> Diagnostic | None:
    """Say which ratio of the first positive objective the run's blocks detect; None where that is not known.

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
            text = (
                f"{blocks} blocks find a difference of {found:.1%} in {short_name(key)} with {POWER:.0%} power{finer}"
            )
            return diagnostic("sensitivity", text, metric=key, blocks=blocks, ratio=float(found), wanted_blocks=wanted)
    return None


def _spreads(trials: Sequence[Floats]) -> tuple[list[float], int]:
    """Return the spread of each pair of rows that share three blocks or more, and the blocks most rows have."""
    spreads: list[float] = []
    for one, other in combinations(trials, 2):
        shared = min(len(one), len(other))
        ratios = log_ratios(one[:shared], other[:shared])
        ratios = ratios[np.isfinite(ratios)]
        if len(ratios) >= 3:
            spreads.append(float(ratios.std(ddof=1)))
    counts = [int(np.isfinite(each).sum()) for each in trials]
    return [sd for sd in spreads if sd > 0], int(np.median(counts)) if counts else 0


FEWEST_TRIALS = 3
LEAST = 2 * samples_needed(PERCENTILES["latency_p99_ms"])
_READ = 20_000


def samples_wanted(trials: Sequence[TrialMetrics], scenario: str, overhead_s: float) -> int | None:
    """Return the samples per trial of a cell that make the mean most precise for its cost; None: too early to say.

    The optimum of Kalibera & Jones (ISMM 2013) on the logarithms of samples, rounded up to a power of two,
    never below what a two-sided p99 interval needs twice over. Starting a trial takes `overhead_s` beside measuring.
    """
    windows = [_window(trial, scenario) for trial in trials]
    if len(trials) < FEWEST_TRIALS or any(len(window) < 2 for window in windows):
        return None
    per_sample = float(np.median(np.concatenate(windows))) / 1e9
    parts = split([np.log(window) for window in windows])
    best = samples_per_trial(parts, max(overhead_s, 1e-3), max(per_sample, 1e-9))
    return max(LEAST, 1 << math.ceil(math.log2(best)))


def _window(trial: TrialMetrics, scenario: str) -> Floats:
    latencies = trial.latencies(scenario)
    return np.zeros(0) if latencies is None else np.maximum(latencies[:_READ].astype(np.float64), 1.0)
