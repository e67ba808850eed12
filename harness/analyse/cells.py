"""A cell's trials → one entry for the scorer: every metric with its interval over fresh processes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.analyse.trials import TrialFacts, rates_at
from harness.analyse.verdicts import Drop
from harness.cost.hourly import cost_per_million, sustainable
from harness.evaluate import quality
from harness.plan import Cell
from harness.runs import Ready
from harness.score.records import Entry, Measure
from harness.spec.metrics import PERCENTILES, lookup, split_key
from harness.spec.policy import Policy
from harness.stats.across import Estimate, combine, over_trials
from harness.stats.quantiles import samples_needed

Array = NDArray[Any]


def entry(
    cell: Cell,
    ready: Ready,
    facts: Sequence[TrialFacts],
    policy: Policy,
    labels: Array | None,
    predictions: Array | None,
    reference: Array | None,
    dropped: Drop | None = None,
) -> Entry:
    """Make the scorer's entry of one cell from its trials (of which one failure fails the cell).

    Args:
        labels: the dataset's labels, if any.
        predictions: the outputs of the variant that ran, one row per dataset row.
        reference: the outputs of the suite's reference, likewise.
        dropped: how the cell left the race before the end, if it did.
    """
    make = partial(Entry, candidate=cell.candidate.name, target=cell.target.name)
    if ready.status == "skipped":
        return make(status="skipped", why=ready.why)
    if ready.status != "ok":
        return make(status="failed", failure=ready.failure, why=ready.why)
    for trial in facts:
        if trial.outcome.status != "ok":
            outcome = trial.outcome
            return make(status="failed", failure=outcome.failure, why=outcome.message)
    if not facts:
        return make(status="skipped", why="no trial of this cell was run before the run ended")
    values = _per_trial(cell, facts, policy)
    metrics = {key: _measure(key, facts, per_trial) for key, per_trial in values.items()}
    metrics |= _sizes(ready)
    fits, flags = _fitting(cell, labels, predictions)
    metrics |= _quality(cell, labels if fits else None, predictions, reference)
    return make(
        status="dropped" if dropped else "measured",
        why=dropped.why if dropped else "",
        beaten_by=dropped.leader if dropped else "",
        metrics=metrics,
        trials={key: _by_block(per_trial) for key, per_trial in values.items()},
        correct=_correct(cell, labels if fits else None, predictions),
        flags=(*_flags(facts), *flags),
    )


def _per_trial(cell: Cell, facts: Sequence[TrialFacts], policy: Policy) -> dict[str, dict[int, float]]:
    """Return metric → block → value; a metric that some trial lacks is not known."""
    keys = [key for key in facts[0].values if all(key in trial.values for trial in facts)]
    found = {key: {trial.block: trial.values[key] for trial in _meant_for(key, facts)} for key in keys}
    costs = {trial.block: cost_of(cell, trial, policy) for trial in facts}
    known = {block: cost for block, cost in costs.items() if cost is not None}
    return found | ({"cost_per_million_usd": known} if len(known) == len(facts) else {})


def _meant_for(key: str, facts: Sequence[TrialFacts]) -> Sequence[TrialFacts]:
    """Return the trials that were told to reach the samples a percentile needs; all, where none was.

    Not those that happened to reach them: slow trials reach fewer, and leaving them out would flatter the tail.
    """
    p = PERCENTILES.get(split_key(key)[1])
    if p is None:
        return facts
    needed = samples_needed(p)
    meant = [trial for trial in facts if int(trial.outcome.settings.get("min_samples", 0)) >= needed]
    return meant or facts


def latency_limit(policy: Policy) -> tuple[str, float | None]:
    """Return the percentile and bound (ms) the policy sets on latency: the highest percentile it bounds."""
    for key in sorted(PERCENTILES, key=lambda k: -PERCENTILES[k]):
        limit = policy.limits.get(key)
        if limit is not None and limit.max is not None:
            return key, limit.max
    return "latency_p99_ms", None


def cost_of(cell: Cell, trial: TrialFacts, policy: Policy) -> float | None:
    """Return USD per million inferences by one trial; None without a price or a rate that keeps the limit."""
    price = cell.target.price
    if price is None or not trial.rates:
        return None
    key, bound = latency_limit(policy)
    throughput = sustainable(rates_at(trial, key), bound)
    if throughput is None:
        return None
    return cost_per_million(price.usd_per_hour, throughput, price.utilisation)


def _measure(key: str, facts: Sequence[TrialFacts], per_trial: Mapping[int, float]) -> Measure:
    meant = _meant_for(key, facts)
    count = sum(trial.counts.get(key, 1) for trial in meant)
    if split_key(key)[1] in PERCENTILES:
        return _as_measure(key, combine([trial.quantiles[key] for trial in meant], n=count))
    positive = lookup(key).scale == "log"
    return _as_measure(key, over_trials(list(per_trial.values()), log=positive, n=count))


def _as_measure(key: str, estimate: Estimate) -> Measure:
    return Measure(
        value=estimate.value,
        low=_bounded(estimate.low),
        high=_bounded(estimate.high),
        n=estimate.n,
        trials=estimate.trials,
        unit=lookup(key).unit,
        basis=estimate.basis,
    )


def _bounded(end: float) -> float | None:
    return end if math.isfinite(end) else None


def _exact(key: str, value: float, n: int = 1) -> Measure:
    return Measure(value=value, low=value, high=value, n=n, trials=1, unit=lookup(key).unit, basis="exact")


def _sizes(ready: Ready) -> dict[str, Measure]:
    if ready.artefact is None or ready.artefact.bytes is None:
        return {}
    return {"artefact_mib": _exact("artefact_mib", ready.artefact.bytes / (1 << 20))}


def _fitting(cell: Cell, labels: Array | None, predictions: Array | None) -> tuple[bool, tuple[str, ...]]:
    """Whether predictions can be judged against the labels, and the flag that says why not."""
    if labels is None or predictions is None:
        return False, ()
    problem = quality.misfit(predictions, labels, cell.candidate.task)
    if problem is None and cell.candidate.task == "classification" and labels.size != len(labels):
        problem = f"labels {list(labels.shape)} are not one class number per row"
    return problem is None, (f"no quality is known: {problem}",) if problem else ()


def _correct(cell: Cell, labels: Array | None, predictions: Array | None) -> NDArray[np.bool_] | None:
    if labels is None or predictions is None or cell.candidate.task != "classification":
        return None
    return quality.correctness(predictions, labels)


def _quality(
    cell: Cell, labels: Array | None, predictions: Array | None, reference: Array | None
) -> dict[str, Measure]:
    """Return accuracy or error against the labels, and the difference to the reference's outputs."""
    found: dict[str, Measure] = {}
    if predictions is None:
        return found
    correct = _correct(cell, labels, predictions)
    if correct is not None:
        found["accuracy"] = _as_share(quality.share(correct))
    elif labels is not None:
        found["rmse"] = _exact("rmse", quality.rmse(predictions, labels), len(labels))
    if reference is not None:
        difference = quality.max_abs_diff(predictions, reference)
        if difference is not None:
            found["output_max_abs_diff"] = _exact("output_max_abs_diff", difference, len(reference))
        task = cell.candidate.task
        if task == "classification" and not quality.misfit(predictions, reference, task):
            same = quality.top1(predictions) == quality.top1(reference)
            found["output_agreement"] = _as_share(quality.share(same))
    return found


def _as_share(share: quality.Share) -> Measure:
    return Measure(value=share.value, low=share.low, high=share.high, n=share.n, trials=1, unit="", basis="rows")


def _by_block(per_trial: Mapping[int, float]) -> tuple[float, ...]:
    return tuple(per_trial.get(block, math.nan) for block in range(max(per_trial) + 1))


def _flags(facts: Sequence[TrialFacts]) -> tuple[str, ...]:
    """Return each flag with how many of the trials carry it."""
    counts = Counter(flag for trial in facts for flag in trial.flags)
    return tuple(f"{flag} in {count} of {len(facts)} trials" for flag, count in sorted(counts.items()))
