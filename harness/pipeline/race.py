"""Who is still in the race: from entries to a table of utilities by block, and from that to drops. Pure."""

from collections.abc import Sequence

import numpy as np

from harness.score.assess import probability
from harness.score.compare import tie_margin
from harness.score.estimate import estimate
from harness.score.records import Entry
from harness.score.weights import single_log_metric, utility, weighting_of
from harness.spec.arrays import Floats
from harness.spec.metrics import lookup
from harness.spec.policy import Policy
from harness.stats.racing import Mode, Rule


def values_of(entries: Sequence[Entry], policy: Policy, blocks: int) -> Floats:
    """Return [blocks, cells]: each trial's utility, or minus the log of the single metric. NaN: not run.

    A metric without trials (accuracy, size on disk) counts the same in every block.
    """
    key = single_log_metric(policy)
    if key is not None:
        sign = 1.0 if lookup(key).better == "higher" else -1.0
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


def rule_of(policy: Policy, mode: Mode, blocks: int, first_look: int) -> Rule:
    """Return the race's rule; its tie margin is the ranking's."""
    return Rule(blocks=blocks, first_look=first_look, margin=tie_margin(policy), mode=mode)
