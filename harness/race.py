"""Who is still in the race: from entries to a table of utilities by block, and from that to drops. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.score.estimate import estimate
from harness.score.limits import probability
from harness.score.records import Entry
from harness.score.utility import utility
from harness.score.weights import weighting_of
from harness.spec.metrics import CATALOGUE, split_key
from harness.spec.policy import Policy, scale_of
from harness.stats.racing import Rule

Floats = NDArray[np.float64]


def single_metric(policy: Policy) -> str | None:
    """Return the policy's only objective if it is judged in logarithms; its log-ratio then decides."""
    keys = weighting_of(policy, set(policy.objectives)).keys
    if len(keys) == 1 and scale_of(keys[0], policy.objectives[keys[0]]) == "log":
        return keys[0]
    return None


def values_of(entries: Sequence[Entry], policy: Policy, blocks: int) -> Floats:
    """Return [blocks, cells]: each trial's utility, or minus the log of the single metric. NaN: not run.

    A metric without trials (accuracy, size on disk) counts the same in every block.
    """
    key = single_metric(policy)
    if key is not None:
        sign = 1.0 if CATALOGUE[split_key(key)[1]].better == "higher" else -1.0
        return np.stack([sign * np.log(_trials(entry, key, blocks)) for entry in entries], axis=1)
    each = per_objective(entries, policy, blocks)
    weighting = weighting_of(policy, set(policy.objectives))
    return np.asarray(each @ weighting.central)


def per_objective(entries: Sequence[Entry], policy: Policy, blocks: int) -> Floats:
    """Return [blocks, cells, objectives]: each trial's utility in each objective."""
    keys = weighting_of(policy, set(policy.objectives)).keys
    columns = [
        np.stack([utility(_trials(entry, k, blocks), k, policy.objectives[k]) for k in keys], axis=1)
        for entry in entries
    ]
    return np.stack(columns, axis=1)


def _trials(entry: Entry, key: str, blocks: int) -> Floats:
    """Return a metric by block; where it has no trials but a value, that value in every block it ran."""
    found = np.full(blocks, np.nan)
    trials = entry.trials.get(key)
    if trials is not None:
        found[: len(trials)] = trials[:blocks]
        return found
    measure = entry.metrics.get(key)
    if measure is None or not entry.trials:
        return found
    ran = next(iter(entry.trials.values()))[:blocks]
    found[: len(ran)] = np.where(np.isfinite(ran), measure.value, np.nan)
    return found


def broken_limit(entry: Entry, policy: Policy, level: float) -> tuple[str, float] | None:
    """Return a limit that the entry breaks for certain (P(holds) below `level`), with that P."""
    for key, limit in policy.limits.items():
        found = estimate(entry, key)
        if found is not None and found.certain:
            p = probability(found, limit)
            if p < level:
                return key, p
    return None


def rule_of(policy: Policy, mode: str, blocks: int, first_look: int) -> Rule:
    """Return the race's rule; ties are within 2 % of a single metric, or 0.01 of the score scale."""
    margin = 0.02 if single_metric(policy) is not None else 0.01
    return Rule(blocks=blocks, first_look=first_look, margin=margin, mode=mode)  # type: ignore[arg-type]
