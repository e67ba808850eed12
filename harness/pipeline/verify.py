"""`harness verify`: does a decision still follow from its evidence? Digests, and the ranking derived again."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import EvidenceError, SpecError
from harness.evidence.files import as_written, file_digest, read_json
from harness.evidence.manifest import FILE as MANIFEST
from harness.evidence.manifest import Change, Manifest, changes
from harness.pipeline.conclude import derive
from harness.pipeline.decision import (
    FILE,
    Decision,
    content_digest,
    deciding_versions,
    decision_of,
    read_decision,
    sealed,
)
from harness.spec.diagnostics import Diagnostic, diagnostic

_CLOSE = 1e-9
"""Numbers that differ by less, relatively, are the same: another machine rounds otherwise."""
_NONSENSE = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What changed evidence may raise: its numbers may be any."""
_NOT_COMPARED = ("approvals", "digest", "derived", "evidence", "decided_by")
"""Fields of the record that the evidence does not give, or that are compared as files."""


def verify(folder: Path) -> list[Diagnostic]:
    """Compare a run's record with its files, and with what its evidence gives now; the differences.

    A finding of severity "error" is a difference. Raises EvidenceError if there is no record.
    """
    path = folder / FILE
    try:
        decision = read_decision(folder)
    except EvidenceError as error:
        if not path.exists():
            raise
        return [diagnostic("record_damaged", str(error), FILE)]
    return [
        *_form(path, decision),
        *_stale(decision),
        *_evidence(folder, decision),
        *_files(folder, decision),
        *_ranking(folder, decision),
    ]


def _form(path: Path, decision: Decision) -> Iterator[Diagnostic]:
    """Compare the record's file with the form in which it is written, and its content with its own digest."""
    if sealed(decision).digest != decision.digest:
        yield diagnostic("record_damaged", f"{FILE}: its content is not that of its own digest", FILE)
    elif as_written(decision) != path.read_bytes():
        yield diagnostic("record_damaged", f"{FILE}: not in the form in which it is written", FILE)


def _stale(decision: Decision) -> Iterator[Diagnostic]:
    for approval in decision.approvals:
        if approval.decision != content_digest(decision):
            yield diagnostic("approval_stale", f"{FILE}: '{approval.by}' approved another decision", approval.by)


def _evidence(folder: Path, decision: Decision) -> Iterator[Diagnostic]:
    """Compare the manifest with its digest in the record, and each file of evidence with the manifest."""
    try:
        if file_digest(folder / MANIFEST) != decision.evidence.sha256:
            yield diagnostic("file_changed", f"{MANIFEST}: its digest is not that in {FILE}", MANIFEST)
        manifest = read_json(folder / MANIFEST, Manifest)
    except FileNotFoundError:
        yield diagnostic("file_missing", f"{MANIFEST}: is missing, so that single files cannot be named", MANIFEST)
        return
    except (OSError, EvidenceError) as error:
        yield diagnostic("file_unreadable", str(error), MANIFEST)
        return
    yield from map(_said, changes(folder, manifest))


def _said(change: Change) -> Diagnostic:
    code, said = {
        "changed": ("file_changed", "was changed"),
        "missing": ("file_missing", "is missing"),
        "added": ("file_added", "was added"),
        "unreadable": ("file_unreadable", "cannot be read"),
    }[change.how]
    detail = f" ({change.detail})" if change.detail else ""
    return diagnostic(code, f"{change.path}: {said}{detail}", change.path)


def _files(folder: Path, decision: Decision) -> Iterator[Diagnostic]:
    """Compare the files that hold the ranking with their digests in the record."""
    for name, digest in decision.derived.items():
        path = folder / name
        if not path.is_file():
            yield diagnostic("file_missing", f"{name}: is missing", name)
        elif file_digest(path) != digest:
            yield diagnostic("file_changed", f"{name}: was changed", name)


def _ranking(folder: Path, decision: Decision) -> Iterator[Diagnostic]:
    """Derive the record again from the evidence as it is, and compare."""
    try:
        found = derive(folder, None if decision.own_policy else decision.policy)
        now = decision_of(*found, Manifest(files={}), {})
    except (EvidenceError, SpecError, *_NONSENSE) as error:
        yield diagnostic("not_derivable", f"the ranking cannot be derived again: {error}", FILE)
        return
    made_by, makes = decision.decided_by, deciding_versions()
    if made_by != makes:
        yield diagnostic("decided_by_other", f"decided by {_versions(made_by)}; derived again by {_versions(makes)}")
    before, after = (_comparable(each) for each in (decision, now))
    for key in before:
        yield from (
            diagnostic("ranking_differs" if key in ("ranking", "notes") else "record_differs", text, key)
            for text in differences(before[key], after[key], key)
        )


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _comparable(decision: Decision) -> dict[str, Any]:
    content: dict[str, Any] = msgspec.to_builtins(decision)
    content["ranking"] = {f"{row['candidate']}@{row['target']}": row for row in content["ranking"]}
    return {key: value for key, value in content.items() if key not in _NOT_COMPARED}


def differences(recorded: Any, derived: Any, where: str) -> Iterator[str]:
    """Say where two values made of dictionaries, sequences and plain values differ; `where` is their path."""
    if isinstance(recorded, Mapping) and isinstance(derived, Mapping):
        for key in dict.fromkeys((*recorded, *derived)):
            yield from differences(recorded.get(key), derived.get(key), f"{where}.{key}")
    elif _sequences(recorded, derived):
        if len(recorded) != len(derived):
            yield f"{where}: {len(recorded)} in the record, {len(derived)} from the evidence"
        for index, (one, other) in enumerate(zip(recorded, derived, strict=False)):
            yield from differences(one, other, f"{where}[{index}]")
    elif not _same(recorded, derived):
        yield f"{where}: {_short(recorded)} in the record, {_short(derived)} from the evidence"


def _sequences(*values: Any) -> bool:
    return all(isinstance(value, Sequence) and not isinstance(value, str) for value in values)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return bool(one == other)


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else f"{text[:77]}..."
