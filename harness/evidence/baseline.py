"""Stored baselines: runs of a suite that later ones are compared with, kept below `<results>/baseline/<suite>/`."""

import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from harness.errors import SpecError
from harness.evidence.files import cannot_write, read_json, write_json
from harness.evidence.run import read_run

NAME = "baseline"
_FILE, _ARTEFACTS = "baseline.json", "artefacts"


class Baseline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`baseline.json`: the runs that stand for a suite, the interpreter they are kept with, who set them and why."""

    suite: str
    runs: tuple[str, ...]
    created: str
    python: str | None = None
    why: str = ""
    schema: str = "harness/baseline/1"


def folder_of(root: Path, suite: str) -> Path:
    """Return where the baseline of a suite is kept."""
    return root.absolute() / NAME / suite


def set_baseline(root: Path, runs: Sequence[Path], python: str | None = None, why: str = "") -> Baseline:
    """Keep runs as the baseline of their suite, in place of the one before.

    Evidence is hard-linked where possible. Artefacts are copied: those of a run are links to the originals, which a new
    version may be written over.

    Raises SpecError if the runs are of several suites, or one is named twice, which would say that runs never differ.
    Raises EvidenceError if they cannot be read or kept.
    """
    records = [read_run(run) for run in runs]
    suites = dict.fromkeys(record.suite.name for record in records)
    if len(suites) > 1:
        raise SpecError(", ".join(run.name for run in runs), f"are runs of several suites: {', '.join(suites)}")
    names = [run.name for run in runs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SpecError(twice, "is named twice", "name different runs")
    folder = folder_of(root, records[0].suite.name)
    for run in runs:
        if run.parent != folder:
            keep(run, folder / run.name)
    made = Baseline(
        suite=records[0].suite.name,
        runs=tuple(names),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        python=python,
        why=why,
    )
    write_json(folder / _FILE, made)
    _forget_others(folder, made.runs)
    return made


def read_baseline(root: Path, suite: str) -> Baseline:
    """Read the baseline of a suite. Raises SpecError if there is none, EvidenceError if it is damaged."""
    folder = folder_of(root, suite)
    if not (folder / _FILE).is_file():
        known = sorted(path.parent.name for path in (root.absolute() / NAME).glob(f"*/{_FILE}"))
        has = f"no baseline of suite '{suite}'" + (f", only of {', '.join(known)}" if known else "")
        raise SpecError(str(root), has, "measure it some times, and keep the runs: harness baseline RUN RUN RUN")
    found = read_json(folder / _FILE, Baseline)
    missing = [run for run in found.runs if not (folder / run / "run.json").is_file()]
    if missing:
        raise SpecError(
            str(folder), f"the baseline's run {missing[0]} is missing", "set it again: harness baseline RUN"
        )
    return found


def keep(run: Path, to: Path, linked: bool = True) -> None:
    """Copy a run whole or not at all; files are hard-linked where that is wished and possible.

    Raises EvidenceError if it cannot be copied.
    """
    temporary = to.with_name(f"{to.name}.{os.getpid()}.tmp")
    try:
        copy = _linked if linked else shutil.copy2
        shutil.copytree(run, temporary, copy_function=copy, ignore=shutil.ignore_patterns("again", _ARTEFACTS))
        if (run / _ARTEFACTS).is_dir():
            shutil.copytree(run / _ARTEFACTS, temporary / _ARTEFACTS)
        shutil.rmtree(to, ignore_errors=True)
        temporary.rename(to)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise cannot_write(to, error) from error


def _linked(one: str, two: str) -> str:
    try:
        os.link(one, two)
    except OSError:
        shutil.copyfile(one, two)
    return two


def _forget_others(folder: Path, runs: Sequence[str]) -> None:
    """Remove runs that were in the baseline before."""
    for other in folder.iterdir():
        if other.is_dir() and other.name not in runs:
            shutil.rmtree(other, ignore_errors=True)
