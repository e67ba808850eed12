"""Run folders: making one, finding one, and the records of a run: run.json, prepare.json, race.json."""

import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.errors import SpecError
from harness.evidence.files import cannot_write, read_json, write_json
from harness.spec.diagnostics import Diagnostic
from harness.spec.outcome import Failure
from harness.spec.suite import Candidate, Suite
from harness.spec.target import Target
from harness.spec.variant import Variant


class Cell(NamedTuple):
    """One candidate on one target."""

    candidate: Candidate
    target: Target

    @property
    def name(self) -> str:
        """The cell's name and folder: `candidate@target`."""
        return f"{self.candidate.name}@{self.target.name}"


def cells(suite: Suite, targets: Sequence[Target]) -> tuple[Cell, ...]:
    """Return every candidate on every target."""
    return tuple(Cell(candidate, target) for target in targets for candidate in suite.candidate)


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
    controls: bool = False
    harness: str = ""
    schema: str = "harness/run/3"


class Speed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How fast a cell is, as its first process told, in seconds: loading, first inference, a request of each window.

    `memory_bytes` is what a process of the cell needs for itself, `device_share` the part of its GPU's memory that it
    takes (1: the GPU takes no other process beside it). `settle_s` is the period of a CPU quota that can throttle it;
    the seconds of a request are then its mean.
    """

    load_s: float = 0.0
    first_s: float = 0.0
    requests_s: dict[str, float] = {}
    memory_bytes: int = 0
    settle_s: float = 0.0
    device_share: float = 0.0


class PreparedCell(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What preparation made of one cell: a variant to run, or why there is none; how fast it is.

    `forkable`: its trials may be forks of a process that has imported the runtime. `inputs` are the synthetic inputs
    that its first process chose. `notes` are what the conversions that made the variant say of it, `takes` the names
    of all their options.
    """

    status: str
    variant: Variant | None = None
    failure: Failure | None = None
    why: str = ""
    speed: Speed | None = None
    forkable: bool = False
    inputs: dict[str, str] = {}
    notes: tuple[Diagnostic, ...] = ()
    takes: tuple[str, ...] = ()


class Prepared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`prepare.json`: the cells as they can be run here, and the dataset's folder with the digest of each split.

    `candidates` are the digests of the candidates' own artefacts, as far as a target could use them.
    """

    cells: dict[str, PreparedCell]
    dataset: str | None = None
    digests: dict[str, str] = {}
    candidates: dict[str, str] = {}
    spent_s: float = 0.0
    schema: str = "harness/prepare/3"


class BlockRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`blocks/NN.json`: a block that has ended: its wall seconds, and the cells that took turns with each other."""

    block: int
    wall_s: float
    groups: tuple[tuple[str, ...], ...] = ()
    schema: str = "harness/block/1"


TRACES = "traces"
"""The folder of a run that holds the arrivals of recorded traffic: `<scenario>.npy`, offsets from the first (ns)."""


def new_folder(root: Path, suite_name: str) -> Path:
    """Make an empty run folder `<utc>-<suite>-<id>` under `root`. Raises EvidenceError if `root` cannot be written."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = root.absolute() / f"{stamp}-{suite_name}-{secrets.token_hex(3)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder


def find(name: str, root: Path) -> Path:
    """Find a run: a path, a folder's name (or part) under `root`, or `latest`. Raises SpecError if there is none."""
    with suppress(OSError):  # a name that is too long for a path may be part of none
        if (Path(name) / "run.json").is_file():
            return Path(name).absolute()
    runs = sorted(path.parent for path in root.absolute().glob("*/run.json"))
    if name != "latest":
        runs = [path for path in runs if name in path.name]
    if not runs:
        has = "no runs yet" if name == "latest" else f"no run called '{name}'"
        raise SpecError(str(root), has, "give a run folder, part of its name, or 'latest'")
    return runs[-1]


def read_run(folder: Path) -> RunRecord:
    """Read `run.json`. Raises EvidenceError if it is missing, damaged, or of another version."""
    return read_json(folder / "run.json", RunRecord)


def read_prepared(folder: Path) -> Prepared | None:
    """Read `prepare.json`; None when preparing did not end."""
    path = folder / "prepare.json"
    return read_json(path, Prepared) if path.exists() else None


def trial_folder(run: Path, cell: str, block: int) -> Path:
    """Return the folder of a cell's trial in a block (`trial-01` is block 0)."""
    return run / "cells" / cell / f"trial-{block + 1:02d}"


def cold_folder(run: Path, cell: str, number: int) -> Path:
    """Return the folder of a cell's cold trial: a fresh process whose start, memory and predictions are kept."""
    return run / "cells" / cell / f"cold-{number:02d}"


def start_folder(run: Path, cell: str, number: int) -> Path:
    """Return the folder of a cell's cold start (`start-001` is number 0)."""
    return run / "cells" / cell / f"start-{number + 1:03d}"


def block_file(run: Path, block: int) -> Path:
    """Return the file of a block's record (`01.json` is block 0)."""
    return run / "blocks" / f"{block + 1:02d}.json"


def read_block(run: Path, block: int) -> BlockRecord | None:
    """Read a block's record; None when it has not ended. Raises EvidenceError if it is damaged."""
    path = block_file(run, block)
    return read_json(path, BlockRecord) if path.exists() else None


_FILE = "race.json"


class Drop(msgspec.Struct, frozen=True, kw_only=True):
    """Why a cell left the race: after which block, against which leader, with which p-value and effect."""

    cell: str
    block: int
    why: str
    leader: str = ""
    n: int = 0
    p: float | None = None
    effect: float | None = None


class RaceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`race.json`: who was dropped, who leads, who ties with it or needs more data to tell, why measuring ended."""

    drops: tuple[Drop, ...] = ()
    ended: str = ""
    leader: str = ""
    tied: tuple[str, ...] = ()
    data_limited: tuple[str, ...] = ()
    notes: tuple[Diagnostic, ...] = ()
    schema: str = "harness/race/3"


def read_race(folder: Path) -> RaceRecord:
    """Read `race.json`; empty where the run did not get that far. Raises EvidenceError if it is damaged."""
    path = folder / _FILE
    return read_json(path, RaceRecord) if path.exists() else RaceRecord()


def write_race(folder: Path, race: RaceRecord) -> None:
    """Write `race.json`. Raises EvidenceError if it cannot be written."""
    write_json(folder / _FILE, race)
