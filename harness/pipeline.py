"""The main job as named steps: open → prepare → measure → conclude. Each takes what the one before gave."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec

from harness.analyse.evidence import open_run
from harness.analyse.remarks import remarked
from harness.analyse.sensitivity import sensitivity
from harness.analyse.verdicts import read_verdicts
from harness.measure import Measuring
from harness.prepare import Launch, prepare
from harness.report.files import write_reports
from harness.report.notes import notes_of
from harness.report.observe import Observer, Quiet
from harness.report.show import Ranked
from harness.runs import Prepared, RunRecord
from harness.score.rank import rank
from harness.spec.policy import Policy
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
    seen = sensitivity(entries, judged_by)
    notes = (*ranking.notes, *([seen] if seen else []), *notes_of(evidence, verdicts, policy))
    ranking = msgspec.structs.replace(ranking, notes=notes)
    ranked = Ranked(folder, evidence.record, ranking, judged_by)
    write_reports(ranked)
    return ranked
