"""Run folders: making one, finding one, and the records that make a run repeatable."""

from __future__ import annotations

import os
import platform
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from harness import __version__
from harness.errors import EvidenceError, SpecError
from harness.spec.suite import Suite
from harness.spec.target import Target
from harness.spec.wire import Artefact, Failure, ParityReport
from harness.trial.folder import cannot_write, write_json

T = TypeVar("T")


class RunRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`run.json`: everything needed to repeat the run."""

    id: str
    created: str
    suite: Suite
    suite_file: str
    base: str
    targets: tuple[Target, ...]
    seed: int
    quick: bool = False
    synthetic_policy: bool = False
    host: dict[str, str | int | float | None] = {}
    harness: str = __version__
    schema: str = "harness/run/1"


class Ready(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What preparing made of one cell: an artefact to run, or why there is none."""

    status: str
    artefact: Artefact | None = None
    failure: Failure | None = None
    why: str = ""
    parity: ParityReport | None = None
    overhead_s: float = 0.0


class Prepared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`prepare.json`: the cells as they can be run here, and the dataset they are fed."""

    cells: dict[str, Ready]
    dataset: str | None = None
    dataset_digest: str = ""
    window_share: float = 1.0
    spent_s: float = 0.0
    schema: str = "harness/prepare/1"


def new_folder(root: Path, suite_name: str) -> Path:
    """Make an empty run folder `<utc>-<suite>-<id>` under `root`.

    Raises:
        EvidenceError: `root` cannot be written.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = root.absolute() / f"{stamp}-{suite_name}-{secrets.token_hex(3)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder


def find(name: str, root: Path) -> Path:
    """Return the run folder called `name`: a path, a folder's name (or part) under `root`, or `latest`.

    Raises:
        SpecError: there is no such run.
    """
    if (Path(name) / "run.json").is_file():
        return Path(name).absolute()
    runs = sorted(path.parent for path in root.absolute().glob("*/run.json"))
    if name != "latest":
        runs = [path for path in runs if name in path.name]
    if not runs:
        has = "no runs yet" if name == "latest" else f"no run called '{name}'"
        raise SpecError(str(root), has, "give a run folder, part of its name, or 'latest'")
    return runs[-1]


def write_run(folder: Path, record: RunRecord) -> None:
    """Write `run.json`."""
    write_json(folder / "run.json", record)


def read_run(folder: Path) -> RunRecord:
    """Read `run.json`.

    Raises:
        EvidenceError: it is missing, damaged, or of another version.
    """
    return _read(folder / "run.json", RunRecord)


def read_prepared(folder: Path) -> Prepared | None:
    """Read `prepare.json`; None when preparing did not end."""
    path = folder / "prepare.json"
    return _read(path, Prepared) if path.exists() else None


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError) as error:
        raise EvidenceError(f"{path}: cannot be read: {error}") from error


def trial_folder(run: Path, cell: str, block: int) -> Path:
    """Return the folder of a cell's trial in a block (`trial-01` is block 0)."""
    return run / "cells" / cell / f"trial-{block + 1:02d}"


def fingerprint() -> dict[str, str | int | float | None]:
    """Describe this machine: what a number from here should be read with."""
    return {
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "affinity": len(os.sched_getaffinity(0)),
        "memory_mib": (os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) >> 20,
        "python": platform.python_version(),
        "clock": time.get_clock_info("perf_counter").implementation,
    }


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
