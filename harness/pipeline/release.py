"""A release: the last runs of its suites, kept whole, and compared with those of the release before."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.analyse.reader import RunReader, open_run
from harness.errors import HarnessError, SpecError
from harness.evidence.baseline import keep
from harness.evidence.files import cannot_write, write_json
from harness.evidence.run import read_run
from harness.evidence.sums import write_sums
from harness.pipeline.compare import Asked, compare, read_sides
from harness.pipeline.conclude import RankedRun, load_ranked
from harness.score.verdicts import Comparison

FOLDER, FILE = "release", "release.json"
_BEFORE = ("dev", "a", "alpha", "b", "beta", "rc")
_END = (0, 0, "")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class SuiteRelease(msgspec.Struct, frozen=True, kw_only=True):
    """One suite of a release: the run that it rests on, the rows that may be the best, and how it was compared.

    `not_compared` says why there is no comparison with the release before.
    """

    suite: str
    run: str
    rows: int
    may_be_best: tuple[str, ...]
    regressions: int | None = None
    not_compared: str = ""


class ReleaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`release.json`: what was released when, by which version of the program, against which release."""

    version: str
    created: str
    harness: str
    baseline: str | None
    suites: tuple[SuiteRelease, ...]
    schema: str = "harness/release/1"


class Part(NamedTuple):
    """A suite of a release: its run as the release keeps it, and the comparison, or why there is none."""

    ranked: RankedRun
    reader: RunReader
    comparison: Comparison | None
    why: str


class Release(NamedTuple):
    """A release as it is written: its record, and its suites."""

    record: ReleaseRecord
    parts: tuple[Part, ...]


def releases(root: Path) -> list[str]:
    """Return the versions that were released under `root`, the newest last."""
    found = (root / FOLDER).glob(f"*/{FILE}")
    return sorted((path.parent.name for path in found), key=_order)


def baseline_of(root: Path, version: str, wished: str | None) -> str | None:
    """Return the release to compare with: the one wished, or the last one before `version`; None without any.

    Raises SpecError if the one wished is not there.
    """
    known = releases(root)
    if wished == "none":
        return None
    if wished is not None:
        if wished not in known:
            raise SpecError(
                "--baseline", f"no release '{wished}'", f"one of: {', '.join(known) or 'none yet'}; or none"
            )
        return wished
    return next((each for each in reversed(known) if _order(each) < _order(version)), None)


def _order(version: str) -> list[tuple[int, int, str]]:
    """Order versions by their numbers: 0.9 before 0.10, 1.0rc1 before 1.0."""
    parts = re.findall(r"\d+|[a-z]+", version.lower())
    return [
        *((2, int(part), "") if part.isdigit() else (-1 if part in _BEFORE else 1, 0, part) for part in parts),
        _END,
    ]


@contextmanager
def staged(root: Path, version: str) -> Iterator[Path]:
    """Give a folder to fill; when that ends well it has its checksums, and becomes `release/<version>`.

    Raises SpecError if there is such a release, or the version is no name for a folder.
    """
    if not _PLAIN.fullmatch(version):
        raise SpecError("--version", f"'{version}' is no version", "letters, digits, and . _ + -")
    folder = root.absolute() / FOLDER / version
    if folder.exists():
        raise SpecError(str(folder), "is released already", "give another --version, or remove the folder")
    temporary = folder.with_name(f".{version}.{os.getpid()}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        write_sums(temporary)
        temporary.rename(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def assembled(
    folder: Path, runs: Sequence[Path], version: str, harness: str, before: Path | None, force: bool = False
) -> Release:
    """Copy runs of different suites into `folder`, and compare each with its suite's run in the release `before`.

    Raises SpecError if two are of one suite. Raises EvidenceError if a run is damaged, or was not ranked.
    """
    named: dict[str, Path] = {}
    for run in runs:
        suite = read_run(run).suite.name
        if suite in named:
            raise SpecError(suite, f"has two runs: {named[suite].name} and {run.name}", "name one run for each suite")
        named[suite] = run
    for suite, run in named.items():
        keep(run, folder / suite, linked=False)
    parts = tuple(_part(folder / suite, suite, before, force) for suite in named)
    record = ReleaseRecord(
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        harness=harness,
        baseline=before.name if before is not None else None,
        suites=tuple(_summary(part) for part in parts),
    )
    write_json(folder / FILE, record)
    return Release(record, parts)


def _part(run: Path, suite: str, before: Path | None, force: bool) -> Part:
    reader = open_run(run)
    comparison, why = None, "there is no release before"
    if before is not None:
        comparison, why = _compared(before / suite, run, force)
    return Part(load_ranked(run, reader), reader, comparison, why)


def _compared(base: Path, new: Path, force: bool) -> tuple[Comparison | None, str]:
    """Compare two runs, or say why they cannot be; a damaged release before does not stop this one."""
    if not (base / "run.json").is_file():
        return None, f"release {base.parent.name} does not have this suite"
    try:
        sides, notes = read_sides([base], new, force)
        return compare(sides, Asked(), notes), ""
    except HarnessError as error:
        return None, str(error)


def _summary(part: Part) -> SuiteRelease:
    rows = part.ranked.ranking.rows
    return SuiteRelease(
        suite=part.ranked.record.suite.name,
        run=part.ranked.record.id,
        rows=len(rows),
        may_be_best=tuple(f"{row.candidate}@{row.target}" for row in rows if row.may_be_best),
        regressions=None if part.comparison is None else len(part.comparison.regressions),
        not_compared=part.why,
    )
