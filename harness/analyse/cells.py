"""A cell's trials → one entry for the scorer: every metric with its interval over fresh processes."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from harness.analyse.trials import TrialMetrics, bounds
from harness.cost.hourly import Rate, cost_per_million, sustainable
from harness.evaluate import rowwise
from harness.evidence.run import Cell, Drop, PreparedCell
from harness.score.records import Entry, Measure, RowScores
from harness.spec.arrays import Array
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.metrics import PERCENTILES, lookup, split_key
from harness.spec.policy import Policy
from harness.stats.across import TrialEstimate, combine, over_trials
from harness.stats.quantiles import samples_needed

_WARNINGS = {"not_steady": "not steady", "steal": "steal", "other_work": "other work on the machine"}


class QualityData(NamedTuple):
    """What quality is judged by: the evaluation split's labels and weights, predictions, the reference's outputs."""

    labels: Array | None
    weights: Array | None
    predictions: Array | None
    reference: Array | None


def entry(
    cell: Cell,
    prepared: PreparedCell,
    trials: Sequence[TrialMetrics],
    policy: Policy,
    data: QualityData,
    dropped: Drop | None = None,
) -> Entry:
    """Make a cell's entry from its trials (one failure fails the cell); `dropped`: how it left the race early."""
    make = partial(Entry, candidate=cell.candidate.name, target=cell.target.name)
    failed = [trial.outcome for trial in trials if trial.outcome.status != "ok"]
    if prepared.status == "skipped" or (prepared.status == "ok" and not trials):
        why = prepared.why or "no trial of this cell was run before the run ended"
        return make(status="skipped", diagnostics=(diagnostic("skipped", why, cell.name),))
    if prepared.status != "ok" or failed:
        failure, why = (failed[0].failure, failed[0].message) if failed else (prepared.failure, prepared.why)
        reason = diagnostic("failed", why, cell.name, failure=failure)
        return make(status="failed", failure=failure, diagnostics=(reason,))
    values = _per_trial(cell, trials, policy)
    metrics = {key: _measure(key, trials, per_trial) for key, per_trial in values.items()}
    metrics |= _sizes(prepared)
    problem = _misfit(cell, data)
    rows = {} if data.predictions is None else _row_scores(cell, data._replace(labels=None) if problem else data)
    metrics |= {key: _of_rows(key, scores) for key, scores in rows.items()}
    metrics |= _output_difference(data)
    return make(
        status="dropped" if dropped else "measured",
        beaten_by=dropped.leader if dropped else "",
        metrics=metrics,
        trials={key: _by_block(per_trial) for key, per_trial in values.items()},
        rows=rows,
        diagnostics=(*_dropped(cell, dropped), *_warnings(cell, trials), *problem),
    )


def _per_trial(cell: Cell, trials: Sequence[TrialMetrics], policy: Policy) -> dict[str, dict[int, float]]:
    """Return metric → block → value; a metric that some trial lacks is not known."""
    keys = [key for key in trials[0].values if all(key in trial.values for trial in trials)]
    found = {key: {trial.block: trial.values[key] for trial in _meant_for(key, trials)} for key in keys}
    costs = {trial.block: cost_of(cell, trial, policy) for trial in trials}
    known = {block: cost for block, cost in costs.items() if cost is not None}
    return found | ({"cost_per_million_usd": known} if len(known) == len(trials) else {})


def _meant_for(key: str, trials: Sequence[TrialMetrics]) -> Sequence[TrialMetrics]:
    """Return the trials that were told to reach the samples a percentile needs; all, where none was.

    Not those that happened to reach them: slow trials reach fewer, and leaving them out would flatter the tail.
    """
    p = PERCENTILES.get(split_key(key)[1])
    if p is None:
        return trials
    needed = samples_needed(p)
    meant = [trial for trial in trials if int(trial.outcome.settings.get("min_samples") or 0) >= needed]
    return meant or trials


def latency_limit(policy: Policy) -> tuple[str, float | None]:
    """Return the percentile and bound (ms) the policy sets on latency: the highest percentile it bounds."""
    found = bounds(policy)
    key = max((key for key in PERCENTILES if key in found), key=PERCENTILES.__getitem__, default="latency_p99_ms")
    return key, found.get(key)


def cost_of(cell: Cell, trial: TrialMetrics, policy: Policy) -> float | None:
    """Return USD per million inferences by one trial; None without a price or a rate that keeps the limit."""
    price, (key, bound) = cell.target.price, latency_limit(policy)
    if price is None:
        return None
    throughput = sustainable((Rate(rate["throughput_per_s"], rate[key]) for rate in trial.rates), bound)
    return None if throughput is None else cost_per_million(price.usd_per_hour, throughput, price.utilisation)


def _measure(key: str, trials: Sequence[TrialMetrics], per_trial: Mapping[int, float]) -> Measure:
    meant = _meant_for(key, trials)
    count = sum(trial.counts.get(key, 1) for trial in meant)
    if split_key(key)[1] in PERCENTILES:
        return _as_measure(key, combine([trial.quantiles[key] for trial in meant], n=count))
    positive = lookup(key).scale == "log"
    return _as_measure(key, over_trials(list(per_trial.values()), log=positive, n=count))


def _as_measure(key: str, estimate: TrialEstimate) -> Measure:
    low, high = (end if math.isfinite(end) else None for end in (estimate.low, estimate.high))
    return Measure(**(estimate._asdict() | {"low": low, "high": high}), unit=lookup(key).unit)


def _exact(key: str, value: float, n: int = 1) -> Measure:
    return Measure(value=value, low=value, high=value, n=n, trials=1, unit=lookup(key).unit, basis="exact")


def _sizes(prepared: PreparedCell) -> dict[str, Measure]:
    if prepared.variant is None or prepared.variant.bytes is None:
        return {}
    return {"artefact_mib": _exact("artefact_mib", prepared.variant.bytes / (1 << 20))}


def _misfit(cell: Cell, data: QualityData) -> tuple[Diagnostic, ...]:
    """Return the warning that says why predictions cannot be judged against the labels, if they cannot."""
    labels, predictions = data.labels, data.predictions
    if labels is None or predictions is None:
        return ()
    problem = rowwise.misfit(predictions, labels, cell.candidate.task)
    if problem is None and cell.candidate.task == "classification" and labels.size != len(labels):
        problem = f"labels {list(labels.shape)} are not one class number per row"
    return (diagnostic("quality_unknown", f"no quality is known: {problem}", cell.name),) if problem else ()


def _row_scores(cell: Cell, data: QualityData) -> dict[str, RowScores]:
    """Return the scores of every row-wise metric that applies to the candidate's task and the data at hand."""
    assert data.predictions is not None
    task, found = cell.candidate.task, {}
    for key, metric in rowwise.metrics(task).items():
        truth = data.reference if metric.against == "reference" else data.labels
        if truth is not None and (metric.against == "labels" or not rowwise.misfit(data.predictions, truth, task)):
            values = np.asarray(metric.scores(data.predictions, truth), dtype=np.float64)
            found[key] = RowScores(values=values, weights=data.weights, transform=metric.transform)
    return found


def _of_rows(key: str, scores: RowScores) -> Measure:
    found = rowwise.summarise(scores.values, scores.weights, scores.transform)
    return Measure(**found._asdict(), trials=1, unit=lookup(key).unit, basis="rows")


def _output_difference(data: QualityData) -> dict[str, Measure]:
    """Return the largest difference to the reference's outputs, where both are numbers of one shape."""
    if data.predictions is None or data.reference is None:
        return {}
    found, key = rowwise.max_abs_diff(data.predictions, data.reference), "output_max_abs_diff"
    return {} if found is None else {key: _exact(key, found, len(data.reference))}


def _by_block(per_trial: Mapping[int, float]) -> tuple[float, ...]:
    return tuple(per_trial.get(block, math.nan) for block in range(max(per_trial) + 1))


def _dropped(cell: Cell, drop: Drop | None) -> tuple[Diagnostic, ...]:
    if drop is None:
        return ()
    test = {"n": drop.n, "p": drop.p, "effect": drop.effect}
    return (diagnostic("dropped", drop.why, cell.name, block=drop.block, leader=drop.leader, **test),)


def _warnings(cell: Cell, trials: Sequence[TrialMetrics]) -> tuple[Diagnostic, ...]:
    """Return each warning with how many of the trials carry it."""
    counts = Counter(code for trial in trials for code in trial.warnings)
    return tuple(
        diagnostic(code, f"{_WARNINGS[code]} in {n} of {len(trials)} trials", cell.name, affected=n, trials=len(trials))
        for code, n in sorted(counts.items(), key=lambda item: _WARNINGS[item[0]])
    )
