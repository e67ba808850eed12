"""Who is still in the race: from entries to a table of utilities by block, and from that to drops. Pure."""

from collections.abc import Mapping, Sequence, Set

import numpy as np

from harness.score.compare import fixed_variances, sum_of_noise, tie_margin
from harness.score.estimate import estimate, saturation, why_unknown
from harness.score.limits import certainly_broken, probability
from harness.score.records import Entry
from harness.score.weights import single_log_metric, slope, utility, weighting_of
from harness.spec.arrays import Floats
from harness.spec.metrics import lookup
from harness.spec.policy import Policy, keys_of
from harness.stats.racing import Decision, Mode, Rule, race


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


def fixed_of(entries: Sequence[Entry], policy: Policy) -> Floats:
    """Return [cells, cells]: the variance of each difference in `values_of` that more blocks do not reduce.

    That of the dataset's rows, paired by row, and of cold starts, which are over before the race.
    """
    weighting = weighting_of(policy, set(policy.objectives))
    weights = dict(zip(weighting.keys, map(float, weighting.central), strict=True))
    return _fixed(entries, weights, policy)


def fixed_per_objective(entries: Sequence[Entry], policy: Policy) -> Floats:
    """Return [cells, cells, objectives]: as `fixed_of`, of the utilities in `per_objective`."""
    keys = weighting_of(policy, set(policy.objectives)).keys
    return np.stack([_fixed(entries, {key: 1.0}, policy) for key in keys], axis=2)


def decide(entries: Sequence[Entry], policy: Policy, blocks: int, racers: Set[int], rule: Rule) -> Decision:
    """Say which of the `racers` (places in `entries`) stay in the race after so many blocks, and how it stands."""
    if rule.mode == "front":
        return race(per_objective(entries, policy, blocks), racers, rule, fixed_per_objective(entries, policy))
    return race(values_of(entries, policy, blocks), racers, rule, fixed_of(entries, policy))


def _fixed(entries: Sequence[Entry], weights: Mapping[str, float], policy: Policy) -> Floats:
    single = single_log_metric(policy) is not None
    parts = []
    for entry in entries:
        found = {key: estimate(entry, key) for key in weights if key not in entry.trials}
        known = {key: each for key, each in found.items() if each is not None}
        slopes = {k: 1.0 if single else slope(x.value, x.log, k, policy.objectives[k]) for k, x in known.items()}
        parts.append(sum_of_noise([(each, weights[key] * slopes[key]) for key, each in known.items()]))
    return fixed_variances(parts)


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
        if found is not None and certainly_broken(found, limit, level):
            return key, probability(found, limit)
    return None


def without_bound(entry: Entry, policy: Policy) -> str | None:
    """Say that a latency of the policy has no bound, because an open loop offered more than could be served."""
    found = (key for key in keys_of(policy) if saturation(entry, key) is not None)
    return next((why for key in found if (why := why_unknown(entry, key)) is not None), None)


def is_open(entry: Entry, policy: Policy, to_the_end: bool = False) -> bool:
    """Whether the evidence cannot judge some limit or objective of the entry yet, for want of requests.

    `to_the_end`: also where a percentile has no upper end because trials differ, which more blocks may mend.
    """
    keys = [key for key in keys_of(policy) if key in entry.trials]  # blocks add nothing to starts, sizes, dataset rows
    found = [each for key in keys if (each := estimate(entry, key)) is not None]
    return any(not each.settled or (to_the_end and not each.bounded) for each in found)


def rule_of(policy: Policy, mode: Mode, blocks: int, first_look: int) -> Rule:
    """Return the race's rule; its tie margin is the ranking's."""
    return Rule(blocks=blocks, first_look=first_look, margin=tie_margin(policy), mode=mode)
