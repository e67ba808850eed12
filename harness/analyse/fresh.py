"""How long each step of a cold start takes, over the fresh processes of a cell."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.analyse.timeline import phases
from harness.analyse.trials import TrialMetrics
from harness.scenarios.base import NS_PER_MS
from harness.stats.quantiles import quantile

_MS = 1000.0


class Step(NamedTuple):
    """The median time of a step (ms) over n starts, with its interval; None where that many starts bound no end."""

    p50_ms: float
    low_ms: float | None
    high_ms: float | None
    n: int


def steps(cold: Sequence[TrialMetrics]) -> dict[str, Step]:
    """Return the steps from the start of a process to its first response, in their order; empty without fresh ones."""
    found: dict[str, list[float]] = {}
    for trial in cold:
        if trial.outcome.status == "ok" and trial.outcome.fresh:
            for name, spent_ms in _of_one(trial).items():
                found.setdefault(name, []).append(spent_ms)
    return {name: _step(values) for name, values in found.items()}


def _of_one(trial: TrialMetrics) -> dict[str, float]:
    """Return what one process took for each step (ms)."""
    spent = {each.name: (each.end_s - each.begin_s) * _MS for each in phases(trial)}
    outcome = trial.outcome
    told = {
        "start the interpreter": spent.get("start"),
        "import the runtime": spent.get("import"),
        "load the model": None if outcome.load_ns is None else outcome.load_ns / NS_PER_MS,
        "first inference": None if outcome.first_inference_ns is None else outcome.first_inference_ns / NS_PER_MS,
    }
    return {name: ms for name, ms in told.items() if ms is not None}


def _step(values: Sequence[float]) -> Step:
    found = quantile(np.sort(np.array(values)), 0.5)
    low, high = (end if np.isfinite(end) else None for end in (found.low, found.high))
    return Step(float(np.median(values)), low, high, len(values))
