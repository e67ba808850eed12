"""The manifest: every file of evidence of a run, with its SHA-256 and its size.

Evidence is all that stands in a run folder but what is derived from it (`DERIVED`): a file that nobody knows counts.
"""

import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from harness.errors import EvidenceError
from harness.evidence.files import file_digest

FILE = "manifest.json"
DERIVED = (
    *("policy.json", "ranking.json", "ranking.csv", "measurements.parquet", "manifest.json"),
    *("decision*.json", "decision*.json.sig", "report.*", "compare.*", "again", "plots", "export", "*.tmp"),
)
"""Names in a run folder, as patterns, of what is derived from the evidence or written beside it."""


class FileDigest(msgspec.Struct, frozen=True, kw_only=True):
    """A file's content: SHA-256 as hexadecimal, and size in bytes."""

    sha256: str
    bytes: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`manifest.json`: the files of evidence by their paths relative to the run folder, sorted."""

    files: dict[str, FileDigest]
    schema: str = "harness/manifest/1"


class Change(NamedTuple):
    """How a file differs from a manifest."""

    path: str
    how: Literal["changed", "missing", "added", "unreadable"]
    detail: str = ""


def evidence_files(run: Path) -> dict[str, Path]:
    """Return the files of evidence by their relative paths, sorted. Links to files count as what they lead to."""
    found: dict[str, Path] = {}
    for folder, folders, names in os.walk(run):
        inner = Path(folder).relative_to(run)
        if inner == Path():
            folders[:] = [name for name in folders if not _derived(name)]
            names = [name for name in names if not _derived(name)]
        found |= {_text(inner / name): Path(folder, name) for name in names}
    return dict(sorted(found.items()))


def _derived(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in DERIVED)


def _text(path: Path) -> str:
    """Return a path as text that JSON can hold, whatever bytes its name has."""
    return path.as_posix().encode("utf-8", "backslashreplace").decode()


def manifest_of(run: Path) -> Manifest:
    """Read all evidence and return its manifest. Raises EvidenceError if a file cannot be read."""
    files: dict[str, FileDigest] = {}
    for name, path in evidence_files(run).items():
        try:
            files[name] = _digest(path)
        except OSError as error:
            raise EvidenceError(f"{path}: cannot be read: {error.strerror or error}") from error
    return Manifest(files=files)


def _digest(path: Path) -> FileDigest:
    return FileDigest(sha256=file_digest(path), bytes=path.stat().st_size)


def changes(run: Path, manifest: Manifest) -> list[Change]:
    """Compare the evidence that is there with a manifest, file by file; nothing is left out."""
    there = evidence_files(run)
    found = [Change(name, "missing") for name in manifest.files if name not in there]
    found += [Change(name, "added") for name in there if name not in manifest.files]
    for name, known in manifest.files.items():
        if name in there:
            found += _compared(name, there[name], known)
    return sorted(found)


def _compared(name: str, path: Path, known: FileDigest) -> list[Change]:
    try:
        now = _digest(path)
    except OSError as error:
        return [Change(name, "unreadable", error.strerror or str(error))]
    if now.bytes != known.bytes:
        return [Change(name, "changed", f"{now.bytes} bytes, there were {known.bytes}")]
    return [] if now == known else [Change(name, "changed", "same size")]
