"""The selection record: `decision.json`, why this ranking, as data; and `manifest.json`, the evidence it rests on.

Everything in a record but its approvals can be derived again from the evidence: `harness verify` does.
"""

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from harness import __version__
from harness.analyse.reader import RunReader
from harness.errors import EvidenceError
from harness.evidence.files import as_written, file_digest, read_json, write_json
from harness.evidence.manifest import FILE as MANIFEST
from harness.evidence.manifest import Manifest
from harness.evidence.run import Prepared, RunRecord
from harness.score.records import Measure, Ranking, Row
from harness.spec.diagnostics import Diagnostic
from harness.spec.outcome import Fact
from harness.spec.policy import Policy, keys_of

FILE, SIGNATURE = "decision.json", "decision.json.sig"
SUPERSEDED = "decision.superseded-*.json"
DERIVED = ("policy.json", "ranking.json", "ranking.csv", "measurements.parquet")
"""The files that hold the ranking; the record has their digests."""


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """Who or what approved, when (UTC), and which decision: the digest of its content without approvals."""

    by: str
    at: str
    decision: str
    note: str = ""


class DecidedVariant(msgspec.Struct, frozen=True, kw_only=True):
    """What ran on a target: SHA-256 of its content, format, precision, the conversions that made it."""

    sha256: str
    format: str
    precision: str
    steps: tuple[str, ...] = ()


class DecidedCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate: its version, the SHA-256 of its own artefact (None: not known), and its variant on each target."""

    version: str
    sha256: str | None
    variants: dict[str, DecidedVariant]


class DecidedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the ranking with its reasons; of its metrics, those that the policy uses."""

    candidate: str
    target: str
    status: str
    failure: str | None
    eligible: bool
    place: int | None
    rank_low: int | None
    rank_high: int | None
    may_be_best: bool
    score: float | None
    score_low: float | None
    score_high: float | None
    p_best: float | None
    metrics: dict[str, Measure]
    reasons: tuple[Diagnostic, ...]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence: SHA-256 of `manifest.json`, which lists each file with its own; the number of files and bytes."""

    sha256: str
    files: int
    bytes: int


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """`decision.json`. Digests are SHA-256 as hexadecimal.

    Those of suite and targets are of their form in `run.json` (`as_written`). `own_policy`: the policy is the run's.
    `measured_by` and `decided_by` are versions, of the measured processes and of what made the ranking; `hosts` the
    machines with their numbers of trials. `derived` are the digests of the files with the ranking. `digest` is that of
    all else in this record (`sealed`).
    """

    run: str
    created: str
    suite: str
    suite_sha256: str
    targets: dict[str, str]
    dataset: dict[str, str]
    seed: int
    policy: Policy
    own_policy: bool
    candidates: dict[str, DecidedCandidate]
    measured_by: dict[str, tuple[str, ...]]
    decided_by: dict[str, str]
    hosts: tuple[tuple[dict[str, Fact], int], ...]
    evidence: Evidence
    derived: dict[str, str]
    ranking: tuple[DecidedRow, ...]
    notes: tuple[Diagnostic, ...]
    approvals: tuple[Approval, ...] = ()
    digest: str = ""
    schema: str = "harness/decision/1"


def decision_of(
    reader: RunReader, ranking: Ranking, policy: Policy, own: bool, manifest: Manifest, derived: Mapping[str, str]
) -> Decision:
    """Make the record of a ranking, without approvals. `derived` are the digests of the files that hold it."""
    record, prepared = reader.record, reader.prepared
    return sealed(
        Decision(
            run=record.id,
            created=record.created,
            suite=record.suite.name,
            suite_sha256=_sha256(as_written(record.suite)),
            targets={target.name: _sha256(as_written(target)) for target in record.targets},
            dataset=prepared.digests,
            seed=record.seed,
            policy=policy,
            own_policy=own,
            candidates=_candidates(record, prepared),
            measured_by=_versions(reader),
            decided_by=deciding_versions(),
            hosts=reader.hosts(),
            evidence=_evidence(manifest),
            derived=dict(derived),
            ranking=tuple(_row(row, policy) for row in ranking.rows),
            notes=ranking.notes,
        )
    )


def deciding_versions() -> dict[str, str]:
    """Return the versions of what makes a ranking from evidence."""
    return {"harness": __version__, "python": platform.python_version()} | {
        name: version(name) for name in ("numpy", "scipy")
    }


def sealed(decision: Decision) -> Decision:
    """Return a record with the digest of its content: of its written form (`as_written`) with an empty `digest`.

    The record is as it will be read: a whole number where a float belongs, for one, is a float.
    """
    open_ = msgspec.json.decode(as_written(msgspec.structs.replace(decision, digest="")), type=Decision)
    return msgspec.structs.replace(open_, digest=_sha256(as_written(open_)))


def content_digest(decision: Decision) -> str:
    """Return the digest of a record without its approvals: what an approval is given to."""
    return sealed(msgspec.structs.replace(decision, approvals=())).digest


def digests_of(folder: Path) -> dict[str, str]:
    """Return the digest of each file that holds the ranking, as far as it is there."""
    return {name: file_digest(folder / name) for name in DERIVED if (folder / name).is_file()}


def read_decision(folder: Path) -> Decision:
    """Read a run's record. Raises EvidenceError if there is none, or it is damaged."""
    if not (folder / FILE).exists():
        raise EvidenceError(f"{folder}: has no {FILE} (decide with `harness rank {folder}`, which writes it)")
    return read_json(folder / FILE, Decision)


def write_decision(folder: Path, decision: Decision, manifest: Manifest) -> Path | None:
    """Write the record and its manifest; a record of the same decision stays, with its approvals and signature.

    Another one with approvals or a signature is kept as `decision.superseded-N.json`; returns its path then.
    """
    write_json(folder / MANIFEST, manifest)
    before = _readable(folder)
    if before is not None and content_digest(before) == decision.digest:
        return None
    aside = _set_aside(folder, before)
    write_json(folder / FILE, decision)
    return aside


def write_approval(folder: Path, by: str, at: str, note: str = "") -> Decision:
    """Add an approval to a run's record, in place of a signature, which was of the record before; returns the record.

    Raises EvidenceError if there is no record, or it cannot be read or written.
    """
    decision = read_decision(folder)
    approval = Approval(by=by, at=at, decision=content_digest(decision), note=note)
    decision = sealed(msgspec.structs.replace(decision, approvals=(*decision.approvals, approval)))
    (folder / SIGNATURE).unlink(missing_ok=True)
    write_json(folder / FILE, decision)
    return decision


def _readable(folder: Path) -> Decision | None:
    try:
        return read_decision(folder)
    except EvidenceError:
        return None


def _set_aside(folder: Path, before: Decision | None) -> Path | None:
    """Rename a record that is not to be lost, with its signature: approved, signed, or not readable."""
    path, signature = folder / FILE, folder / SIGNATURE
    if not path.exists() or (before is not None and not before.approvals and not signature.exists()):
        return None
    number = 1
    while (aside := folder / f"decision.superseded-{number}.json").exists():
        number += 1
    path.rename(aside)
    if signature.exists():
        signature.rename(aside.with_name(f"{aside.name}.sig"))
    return aside


def _candidates(record: RunRecord, prepared: Prepared) -> dict[str, DecidedCandidate]:
    found: dict[str, DecidedCandidate] = {}
    for candidate in record.suite.candidate:
        named = {target.name: prepared.cells.get(f"{candidate.name}@{target.name}") for target in record.targets}
        variants = {
            target: DecidedVariant(sha256=v.digest, format=v.format, precision=v.precision, steps=v.steps)
            for target, cell in named.items()
            if cell is not None and (v := cell.variant) is not None
        }
        unconverted = next((each.sha256 for each in variants.values() if not each.steps), None)
        own = prepared.candidates.get(candidate.name, unconverted)
        found[candidate.name] = DecidedCandidate(version=candidate.version, sha256=own, variants=variants)
    return found


def _versions(reader: RunReader) -> dict[str, tuple[str, ...]]:
    """Return the versions that the measured processes had of each package; more than one after an update."""
    found: dict[str, set[str]] = {"harness": {reader.record.harness}}
    for cell in reader.cells:
        for trial in (*reader.cold(cell.name), *reader.trials(cell.name)):
            for package, number in trial.outcome.versions.items():
                found.setdefault(package, set()).add(number)
    return {package: tuple(sorted(numbers)) for package, numbers in sorted(found.items())}


def _evidence(manifest: Manifest) -> Evidence:
    files = manifest.files.values()
    return Evidence(sha256=_sha256(as_written(manifest)), files=len(files), bytes=sum(file.bytes for file in files))


def _row(row: Row, policy: Policy) -> DecidedRow:
    plain: dict[str, Any] = {name: getattr(row, name) for name in DecidedRow.__struct_fields__}
    return DecidedRow(**plain | {"metrics": {key: row.metrics[key] for key in keys_of(policy) if key in row.metrics}})


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
