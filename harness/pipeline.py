"""The main job as named steps: open → prepare → measure → conclude. Each takes what the one before gave."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import msgspec

from harness import plan
from harness.analyse.evidence import Evidence, open_run
from harness.analyse.remarks import remarked
from harness.analyse.verdicts import Verdicts, read_verdicts
from harness.artefacts import refuse_changed
from harness.errors import EvidenceError
from harness.jobs import first_look
from harness.measure import Measuring
from harness.prepare import Launch, Preparation
from harness.report.files import write_reports
from harness.report.observe import Observer, Quiet
from harness.report.show import Ranked
from harness.runs import Prepared, Ready, RunRecord, read_prepared
from harness.score.rank import rank
from harness.score.words import listed
from harness.spec.policy import Policy
from harness.trial.folder import read_outcome, write_json
from harness.trial.launch import run_job
from harness.trial.lock import machine_lock


def run(folder: Path, record: RunRecord, observer: Observer | None = None, launch: Launch = run_job) -> Ranked:
    """Measure what `folder` still lacks and conclude; a fresh folder lacks everything.

    Raises:
        BusyError: another run is measuring on this machine.
        EvidenceError: evidence cannot be written.
        SpecError: a target or the dataset is wrong.
    """
    seen = observer or Quiet()
    with machine_lock(str(folder)) as lock:
        launch = partial(launch, inherit=(lock,))
        prepared = prepare(folder, record, seen, launch)
        measure(folder, record, prepared, seen, launch)
    seen.say("ranking")
    return conclude(folder)


def prepare(folder: Path, record: RunRecord, observer: Observer, launch: Launch) -> Prepared:
    """Probe targets, make the dataset and the artefacts, and decide how long windows may be."""
    done = _earlier(folder)
    if done is not None:
        return done
    begin = time.monotonic()
    work = Preparation(folder, record, launch, observer.say)
    probes = {target.name: work.probe(target) for target in record.targets}
    dataset, digest = work.dataset()
    ready = {
        cell.name: work.cell(cell, probes[cell.target.name], dataset, digest)
        for cell in plan.cells(record.suite, record.targets)
    }
    spent = time.monotonic() - begin
    prepared = Prepared(
        cells=ready,
        dataset=str(dataset.relative_to(folder)) if dataset else None,
        dataset_digest=digest,
        window_share=_window_share(record, ready, spent),
        spent_s=spent,
    )
    write_json(folder / "prepare.json", prepared)
    return prepared


def _earlier(folder: Path) -> Prepared | None:
    """Return what an earlier attempt prepared, if all of it can still be read; else it is made again.

    Raises:
        SpecError: an artefact is another one now.
    """
    try:
        done = read_prepared(folder)
        if done is None or (done.dataset is not None and read_outcome(folder / done.dataset) is None):
            return None
    except EvidenceError:
        return None
    artefacts = [ready.artefact for ready in done.cells.values() if ready.artefact is not None]
    if not all(Path(artefact.path).is_file() for artefact in artefacts if artefact.path is not None):
        return None
    for artefact in artefacts:
        refuse_changed(artefact)
    return done


def _window_share(record: RunRecord, ready: dict[str, Ready], spent_s: float) -> float:
    overheads = {name: r.overhead_s for name, r in ready.items() if r.status == "ok"}
    return plan.window_share(record.suite, overheads, planned_blocks(record), spent_s)


def planned_blocks(record: RunRecord) -> int:
    """Return how many blocks the windows are sized for."""
    return max(record.suite.budget.trials, first_look(record))


def measure(folder: Path, record: RunRecord, prepared: Prepared, observer: Observer, launch: Launch) -> None:
    """Run block after block until the decision is made or the budget is spent."""
    Measuring(folder, record, prepared, observer, launch).run()


def conclude(folder: Path, policy: Policy | None = None) -> Ranked:
    """Derive ranking and reports from the evidence in `folder`, by `policy` or the run's own."""
    evidence = open_run(folder)
    verdicts = read_verdicts(folder)
    judged_by = policy or evidence.record.suite.policy
    dropped = {drop.cell: drop for drop in verdicts.drops} if policy is None else {}
    entries = remarked(evidence.entries(judged_by, dropped), evidence, judged_by)
    ranking = rank(entries, judged_by, suite=evidence.record.suite.name, seed=evidence.record.seed)
    notes = (*ranking.notes, *_notes(evidence, verdicts, policy))
    ranking = msgspec.structs.replace(ranking, notes=notes)
    ranked = Ranked(folder, evidence.record, ranking, judged_by)
    write_reports(ranked)
    return ranked


def _notes(evidence: Evidence, verdicts: Verdicts, policy: Policy | None) -> list[str]:
    """Say how measuring ended, how it was shortened, and what of the evidence cannot be used."""
    notes = [f"measuring ended: {verdicts.ended}"] if verdicts.ended else ["measuring has not ended"]
    if verdicts.tied:
        tied = listed(verdicts.tied)
        notes.append(f"the race ended in a tie: {tied} cannot differ from the leader by more than the margin")
    share = evidence.prepared.window_share
    if share < 0.995:
        notes.append(f"measured windows were shortened to {share:.0%} of the suite's seconds to keep to its budget")
    if policy is not None and verdicts.drops:
        names = ", ".join(drop.cell for drop in verdicts.drops)
        notes.append(f"ranked by another policy than the race was run by; it gave fewer trials to {names}")
    return [*notes, *verdicts.notes, *evidence.notes()]
