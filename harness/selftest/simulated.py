"""Cells made of drawn latencies, as the scorer sees them: for truths that need thousands of tables.

The same statistics as in a run judge them (`stats.pooled`, `pipeline.race`, `score.rank`); no process, no files.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.score.records import Entry, Measure
from harness.spec.arrays import Floats
from harness.spec.metrics import PERCENTILES
from harness.spec.policy import Objective, Policy
from harness.stats.pooled import pooled_quantiles
from harness.stats.quantiles import quantile_index

TYPICAL_MS = 1.0


class Noise(NamedTuple):
    """How requests vary: inside a process, between processes, between blocks (standard deviations of the logarithm).

    A trial has `slices` of `requests` each; a fraction `hit` of the slices takes `spike` times as long.
    """

    inside: float = 0.1
    process: float = 0.02
    block: float = 0.0
    slices: int = 10
    requests: int = 25
    hit: float = 0.0
    spike: float = 4.0


def latencies(rng: np.random.Generator, noise: Noise, cells: int, blocks: int) -> list[list[Floats]]:
    """Draw the requests (ms) of each cell, trial by trial; all cells are equal. What a block adds they share."""
    shared = noise.block * rng.standard_normal(blocks)
    return [[_trial(rng, noise, float(common)) for common in shared] for _ in range(cells)]


def _trial(rng: np.random.Generator, noise: Noise, common: float) -> Floats:
    shape = (noise.slices, noise.requests)
    logs = common + noise.process * rng.standard_normal() + noise.inside * rng.standard_normal(shape)
    hit = rng.random((noise.slices, 1)) < noise.hit
    return np.asarray(TYPICAL_MS * np.exp(logs + math.log(noise.spike) * hit)).ravel()


def by(key: str) -> Policy:
    """Rank by one latency percentile, on a scale that no simulated cell leaves."""
    return Policy(objectives={key: Objective(weight=1, target=TYPICAL_MS / 100, limit=TYPICAL_MS * 100)})


def entry_of(name: str, trials: Sequence[Floats], keys: Sequence[str]) -> Entry:
    """Make a cell's entry from its requests (ms) by block, as reading a run does."""
    found = pooled_quantiles(trials, [PERCENTILES[key] for key in keys])
    measures, loads = {}, {}
    for key in keys:
        value, low, high, n, parts, _ = found[PERCENTILES[key]]
        measures[key] = Measure(
            value=value,
            low=low if math.isfinite(low) else None,
            high=high if math.isfinite(high) else None,
            n=sum(trial.size for trial in trials),
            trials=len(trials),
            unit="ms",
            basis="pooled",
            effective_n=n,
        )
        loads[key] = tuple(parts.tolist())
    own = {key: tuple(_own(trial, PERCENTILES[key]) for trial in trials) for key in keys}
    return Entry(candidate=name, target="t", status="measured", metrics=measures, trials=own, loads=loads)


def _own(trial: Floats, p: float) -> float:
    return float(np.sort(trial)[quantile_index(trial.size, p)])
