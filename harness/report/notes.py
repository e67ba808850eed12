"""What must be said beside a ranking: how measuring ended, what was assumed, what cannot be used."""

from __future__ import annotations

from contextlib import suppress
from datetime import date

from harness.analyse.evidence import Evidence
from harness.analyse.verdicts import Verdicts
from harness.cost.hourly import is_old
from harness.errors import EvidenceError
from harness.runs import RunRecord
from harness.score.words import listed
from harness.spec.policy import Policy
from harness.spec.wire import Trial
from harness.trial.folder import read_job


def notes_of(evidence: Evidence, verdicts: Verdicts, policy: Policy | None) -> list[str]:
    """Say how measuring ended, how it was shortened, and what of the evidence cannot be used."""
    notes = [f"measuring ended: {verdicts.ended}"] if verdicts.ended else ["measuring has not ended"]
    if verdicts.tied:
        tied = listed(verdicts.tied)
        notes.append(f"the race ended in a tie: {tied} cannot differ from the leader by more than the margin")
    if evidence.record.synthetic_policy and policy is None:
        notes.append("no suite was given: ranked by p99 alone; write a suite with `harness init` for more")
    share = _shortest_window(evidence)
    if share < 0.995:
        notes.append(
            f"windows were shortened, to {share:.0%} of the suite's seconds at the least, to keep to its budget"
        )
    if policy is not None and verdicts.drops:
        names = ", ".join(drop.cell for drop in verdicts.drops)
        notes.append(f"ranked by another policy than the race was run by; {names} had left that race before its end")
    return [*notes, *verdicts.notes, *_money(evidence.record), *evidence.notes()]


def _shortest_window(evidence: Evidence) -> float:
    """Return the least share of the suite's seconds that some trial was given."""
    whole = evidence.record.suite.scenario[0].seconds
    folders = [trial.folder for cell in evidence.cells for trial in evidence.trials(cell.name)]
    shares = [1.0]
    for folder in folders:
        with suppress(EvidenceError):  # what a trial was told is not needed to rank what it measured
            job = read_job(folder)
            shares += [job.scenarios[0].seconds / whole] if isinstance(job, Trial) else []
    return min(shares)


def _money(record: RunRecord) -> list[str]:
    """Say what costs assume, and which prices are old."""
    priced = [(target.name, target.price) for target in record.targets if target.price is not None]
    shares = sorted({price.utilisation for _, price in priced})
    said = [f"cost assumes machines that are busy {' or '.join(f'{share:.0%}' for share in shares)} of the time"]
    day = date.fromisoformat(record.created[:10])
    old = [f"{name} ({price.as_of})" for name, price in priced if is_old(price.as_of, day)]
    return (said if priced else []) + ([f"prices more than a year old: {listed(old)}"] if old else [])
