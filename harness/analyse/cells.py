"""A cell's trials → one entry for the scorer: every metric with its interval."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from harness.analyse import cold as cold_start
from harness.analyse.device_measures import ENERGY, energy_measure
from harness.analyse.measures import CAPACITY, Measured, measured, over_processes, padded
from harness.analyse.money import KEY as COST
from harness.analyse.money import Cost, at_capacity, cost
from harness.analyse.quality import QualityData, agreement_after_conversion, exact, quality
from harness.analyse.starts import Start, start_measures, start_remarks
from harness.analyse.trials import TrialMetrics
from harness.evidence.run import Cell, Drop, PreparedCell
from harness.scenarios.capacity import Capacity
from harness.score.records import Entry, Measure
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.policy import Policy
from harness.spec.scenario import Scenario


class CellEvidence(NamedTuple):
    """What there is of one cell: its trials by block, cold trials, what its quality is judged by, its cold starts.

    `fleet` has the metrics of the suite's users, by the key that they have in a policy. `scenarios` are the suite's.
    """

    trials: Sequence[TrialMetrics]
    cold: Sequence[TrialMetrics]
    data: QualityData
    scenarios: Sequence[Scenario] = ()
    starts: Sequence[Start] = ()
    fleet: Mapping[str, Measure] = {}


def entry(
    cell: Cell, prepared: PreparedCell, evidence: CellEvidence, policy: Policy, first: str, dropped: Drop | None = None
) -> Entry:
    """Make a cell's entry from its evidence (one failure fails the cell).

    `first` is the suite's first scenario; `dropped` is how the cell left the race early.
    """
    trials, make = evidence.trials, partial(Entry, candidate=cell.candidate.name, target=cell.target.name)
    outcomes = [each.outcome for part in (evidence.cold, evidence.starts, trials) for each in part]
    failed = [outcome for outcome in outcomes if outcome.status != "ok"]
    if prepared.status == "skipped" or (prepared.status == "ok" and not trials and not failed):
        why = prepared.why or "no trial of this cell was run before the run ended"
        return make(status="skipped", diagnostics=(diagnostic("skipped", why, cell.name),))
    if prepared.status != "ok" or failed:
        failure, why = (failed[0].failure, failed[0].message) if failed else (prepared.failure, prepared.why)
        reason = diagnostic("failed", why, cell.name, failure=failure)
        return make(status="failed", failure=failure, diagnostics=(reason,))
    timed, judged = measured(trials), quality(cell, evidence.data)
    priced = _priced(cell, evidence, timed, policy)
    known = _known(cell, evidence, timed, priced)
    return make(
        status="dropped" if dropped else "measured",
        beaten_by=dropped.leader if dropped else "",
        metrics=known.metrics | _sizes(prepared) | _agreement(cell, prepared) | judged.metrics,
        trials=known.trials,
        loads=known.loads,
        rows=judged.rows,
        request_s=request_seconds(trials, first),
        diagnostics=(
            *_dropped(cell, dropped),
            *_notes(cell, prepared),
            *(priced.notes if priced else ()),
            *_warnings(cell, evidence),
            *judged.problems,
        ),
    )


def _priced(cell: Cell, evidence: CellEvidence, timed: Measured, policy: Policy) -> Cost | None:
    """Price a cell at its capacity where the suite searches it, else by what it does when it is kept busy."""
    for place, scenario in enumerate(evidence.scenarios):
        if isinstance(scenario, Capacity):
            key = f"{scenario.name}.{CAPACITY}" if place else CAPACITY
            by_block = {trial.block: trial.values[key] for trial in evidence.trials if key in trial.values}
            if (found := at_capacity(cell, timed.metrics.get(key), by_block, scenario, policy)) is not None:
                return found
    return cost(cell, evidence.trials, policy)


def _known(cell: Cell, evidence: CellEvidence, found: Measured, priced: Cost | None) -> Measured:
    """Add cost, and what fresh processes show, to what windows do."""
    metrics, trials = dict(found.metrics), dict(found.trials)
    if priced is not None:
        metrics[COST], trials[COST] = priced.measure, padded(priced.by_block)
    processes = cold_start.by_process(evidence.cold, evidence.trials)
    for key in dict.fromkeys(key for values in processes.values() for key in values):
        values = {number: each[key] for number, each in processes.items() if key in each}
        metrics[key], trials[key] = over_processes(key, list(values.values())), padded(values)
    metrics |= start_measures(evidence.starts, cell.target.lifecycle) | dict(evidence.fleet)
    if COST in evidence.fleet:  # at the users' rate, not that of a trial
        trials.pop(COST, None)
    if (energy := energy_measure(evidence.cold)) is not None:
        metrics[ENERGY], trials[ENERGY] = energy[0], padded(energy[1])
    return Measured(metrics, trials, found.loads)


def request_seconds(trials: Sequence[TrialMetrics], first: str) -> float | None:
    """Return the seconds that one request of the scenario `first` took with all that goes with it; None without any.

    Starting, loading, warming up and other scenarios count; waiting for the turns of other cells does not.
    """
    requests = sum(window.samples for trial in trials for window in trial.windows(first))
    seconds = sum(trial.outcome.wall_s - trial.outcome.spent.get("waiting", 0) / 1e9 for trial in trials)
    return seconds / requests if requests else None


def _sizes(prepared: PreparedCell) -> dict[str, Measure]:
    if prepared.variant is None or prepared.variant.bytes is None:
        return {}
    return {"artefact_mib": exact("artefact_mib", prepared.variant.bytes / (1 << 20))}


def _dropped(cell: Cell, drop: Drop | None) -> tuple[Diagnostic, ...]:
    if drop is None:
        return ()
    test = {"n": drop.n, "p": drop.p, "effect": drop.effect}
    return (diagnostic("dropped", drop.why, cell.name, block=drop.block, leader=drop.leader, **test),)


def _agreement(cell: Cell, prepared: PreparedCell) -> dict[str, Measure]:
    return agreement_after_conversion(cell.candidate, prepared.variant)


def _notes(cell: Cell, prepared: PreparedCell) -> list[Diagnostic]:
    """Return what the conversions said of the variant."""
    return [msgspec.structs.replace(note, subject=cell.name) for note in prepared.notes]


def _warnings(cell: Cell, evidence: CellEvidence) -> tuple[Diagnostic, ...]:
    """Return what is to be said of the cold starts, and each warning of a scenario once.

    As the first trial says it, with how many of the trials carry it.
    """
    trials, starts = evidence.trials, start_remarks(evidence.starts, cell.target.lifecycle)
    found: dict[tuple[str, object], list[Diagnostic]] = {}
    for each in (warning for trial in trials for warning in trial.warnings):
        found.setdefault((each.code, each.data.get("scenario")), []).append(each)
    told = {f"{same[0].message} in {len(same)} of {len(trials)} trials": same for same in found.values()}
    said = tuple(msgspec.structs.replace(each, subject=cell.name) for each in starts)
    return said + tuple(
        diagnostic(same[0].code, text, cell.name, **same[0].data, affected=len(same), trials=len(trials))
        for text, same in sorted(told.items(), key=lambda each: each[0])
    )
