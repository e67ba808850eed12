"""Suspects measured again, in fresh blocks: the base's artefact beside the new one, in one run on one host.

What a run as a whole differs by cancels between two rows of one run. Side by side can stand whatever a trial is told:
the artefact (the base's is staged in its run folder), the target as the base had it, and its interpreter, which brings
the base's own harness and runtimes. What is outside a trial (driver, kernel, the host) is the same for both, and stays
unseen. A row of which none of that differs is measured again alone.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness import __version__
from harness.analyse.reader import RunReader
from harness.analyse.sides import Side
from harness.errors import SpecError
from harness.evidence.files import cannot_write, write_json
from harness.evidence.run import Cell, Prepared, PreparedCell, RunRecord, cells, new_folder
from harness.launch.base import Launchers, held, launchers
from harness.pipeline import artefacts, plan
from harness.pipeline.cold import FirstTrials
from harness.pipeline.conclude import conclude
from harness.pipeline.jobs import Sizes
from harness.pipeline.measure import measure
from harness.pipeline.prepare import Preparation
from harness.pipeline.progress import Observer
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.outcome import Outcome
from harness.spec.policy import Limit
from harness.spec.suite import SPLITS
from harness.spec.target import Target
from harness.spec.variant import Variant

BASELINE = ".baseline"
"""What the base's candidates and targets are called by, beside the new ones."""
BLOCKS, FEWEST_BLOCKS = 24, 8
"""How many blocks suspects are measured in, if the budget buys them; fewer than 8 find 5 % on quiet hosts only."""
BUDGETS = 4.0
"""How many times the budget of the run that may take, if nothing else is asked for."""
_NOT_RUN = PreparedCell(status="skipped", why="not one of the rows to measure again")
_NOT_COMPARED = ("name", "description", "price")


class AgainRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`again.json`: which rows of the run stand side by side: the new row → the base's."""

    base: str
    new: str
    pairs: dict[str, str]
    notes: tuple[Diagnostic, ...] = ()
    schema: str = "harness/again/1"


class Terms(NamedTuple):
    """How suspects are measured again: for how long, with which interpreter for the base, in how many blocks."""

    budget_s: float
    python: str | None = None
    blocks: int = BLOCKS


class _Pair(NamedTuple):
    """A row to measure again, and its partner of the base; None where it is measured alone."""

    row: str
    new: Cell
    base: Cell | None

    @property
    def both(self) -> tuple[Cell, ...]:
        """Both cells, or the one there is."""
        return (self.new,) if self.base is None else (self.new, self.base)


def measure_again(
    base: Side,
    new: Side,
    rows: Sequence[str],
    keys: Sequence[str],
    terms: Terms,
    observer: Observer,
    places: Launchers | None = None,
) -> tuple[Path, AgainRecord]:
    """Measure rows again for these metrics, and conclude; returns the run's folder and which rows are side by side.

    Raises BusyError if another run is measuring, EvidenceError if evidence cannot be written.
    """
    notes: list[Diagnostic] = []
    pairs = [_paired(base, new, row, terms.python, notes) for row in rows]
    places = places or launchers(cell.target.launcher for pair in pairs for cell in pair.both)
    with held(places, f"{new.folder}: again") as ready:
        folder = new_folder(new.folder / "again", new.record.suite.name)
        record = _record(new.record, folder.name, pairs, keys, terms)
        write_json(folder / "run.json", record)
        _stage(base, new, folder)
        prepared = _prepare(folder, record, _sources(base, new, pairs), observer, ready)
        write_json(folder / "prepare.json", prepared)
        record = _with_blocks(folder, record, prepared, terms)
        observer.say(f"measuring {len(rows)} rows again, in {record.suite.budget.trials} blocks")
        measure(folder, record, prepared, observer, ready)
    conclude(folder)
    again = AgainRecord(
        base=base.record.id, new=new.record.id, pairs=_lasting(pairs, prepared, notes), notes=tuple(notes)
    )
    write_json(folder / "again.json", again)
    return folder, again


def _paired(base: Side, new: Side, row: str, python: str | None, notes: list[Diagnostic]) -> _Pair:
    """Find a row's partner; a note says why there is none."""
    own = _cell(new, row)
    why = _why_alone(base, new, row, python)
    if why:
        notes.append(diagnostic("measured_alone", f"{row} is measured again alone: {why}", row))
        return _Pair(row, own, None)
    old = _cell(base, row)
    candidate = msgspec.structs.replace(old.candidate, name=old.candidate.name + BASELINE)
    target = msgspec.structs.replace(old.target, name=old.target.name + BASELINE, python=python or old.target.python)
    return _Pair(row, own, Cell(candidate, target))


def _cell(side: Side, row: str) -> Cell:
    return next(cell for cell in cells(side.record.suite, side.record.targets) if cell.name == row)


def _why_alone(base: Side, new: Side, row: str, python: str | None) -> str:
    """Say why a row cannot stand beside the base's; empty where it can."""
    old, now = (side.prepared[row].variant if row in side.prepared else None for side in (base, new))
    if old is None or now is None:
        return "the base keeps no artefact of it"
    if why := _gone(old, base.folder):
        return why
    one, two = _cell(base, row).target, _cell(new, row).target
    if old.digest == now.digest and _told(one) == _told(two) and python is None:
        return (
            "artefact and target are those of the base, so that side by side they would be the same; "
            "--baseline-python puts the base's code and runtimes beside the new ones"
        )
    return ""


def _gone(variant: Variant, folder: Path) -> str:
    """Say why a variant of the base cannot run any more."""
    if variant.path is not None and not (folder / variant.path).is_file():
        return f"{variant.path} is missing in {folder}"
    try:
        artefacts.refuse_changed(variant, folder)
    except SpecError:
        if variant.path is None:
            return f"the code of {variant.builder} has changed since, and a run keeps no copy of code"
        return f"{variant.path} has changed since: its original, which it is a link to, was written over"
    return ""


def _told(target: Target) -> dict[str, object]:
    """Return what of a target a trial is told."""
    return {
        key: value for key in target.__struct_fields__ if key not in _NOT_COMPARED and (value := getattr(target, key))
    }


def _record(new: RunRecord, name: str, pairs: Sequence[_Pair], keys: Sequence[str], terms: Terms) -> RunRecord:
    """Make the record of a run of these rows and their partners."""
    both = [cell for pair in pairs for cell in pair.both]
    candidates = {cell.candidate.name: cell.candidate for cell in both}
    targets = {cell.target.name: cell.target for cell in both}
    budget = msgspec.structs.replace(
        new.suite.budget, seconds=terms.budget_s, trials=terms.blocks, max_trials=terms.blocks, race="off"
    )
    asked = {key: Limit() for key in keys if key not in new.suite.policy.limits}  # judged, so measured, but no limit
    policy = msgspec.structs.replace(new.suite.policy, limits={**new.suite.policy.limits, **asked})
    suite = msgspec.structs.replace(
        new.suite,
        name=f"{new.suite.name}-again",
        candidate=tuple(candidates.values()),
        targets=tuple(targets),
        budget=budget,
        policy=policy,
    )
    return msgspec.structs.replace(
        new,
        id=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        suite=suite,
        targets=tuple(targets.values()),
        seed=new.seed + 1,
        controls=False,
        harness=__version__,
    )


def _with_blocks(folder: Path, record: RunRecord, prepared: Prepared, terms: Terms) -> RunRecord:
    """Let the budget buy blocks with windows of the suite's length: short ones hold few requests of slow models."""
    reader = RunReader(folder, record, prepared)
    reader.refresh()
    block_s = Sizes(record, prepared, reader).wanted_s / plan.wanted_blocks(record.suite, record.quick)
    affordable = int(terms.budget_s / block_s) if block_s > 0 else terms.blocks
    blocks = max(min(FEWEST_BLOCKS, terms.blocks), min(terms.blocks, affordable))
    budget = msgspec.structs.replace(record.suite.budget, trials=blocks, max_trials=blocks)
    record = msgspec.structs.replace(record, suite=msgspec.structs.replace(record.suite, budget=budget))
    write_json(folder / "run.json", record)
    return record


def _sources(base: Side, new: Side, pairs: Sequence[_Pair]) -> dict[str, PreparedCell]:
    """Return how each cell of the run was prepared in the run that it comes from."""
    found = {pair.row: new.prepared[pair.row] for pair in pairs}
    return found | {pair.base.name: base.prepared[pair.row] for pair in pairs if pair.base is not None}


def _stage(base: Side, new: Side, folder: Path) -> None:
    """Bring artefacts and dataset of the two runs into a run folder, as hard links where possible."""
    for source in (base.folder, new.folder):
        if (source / "artefacts").is_dir():
            _linked(source / "artefacts", folder / "artefacts")
    if (new.folder / "prepare" / "dataset").is_dir():
        _linked(new.folder / "prepare" / "dataset", folder / "prepare" / "dataset")


def _linked(source: Path, to: Path) -> None:
    def link(one: str, two: str) -> str:
        try:
            os.link(one, two)
        except FileExistsError:
            pass  # both runs have it: artefacts are named by their digest
        except OSError:
            shutil.copyfile(one, two)
        return two

    try:
        shutil.copytree(source, to, copy_function=link, dirs_exist_ok=True)
    except OSError as error:
        raise cannot_write(to, error) from error


def _prepare(
    folder: Path, record: RunRecord, sources: Mapping[str, PreparedCell], observer: Observer, places: Launchers
) -> Prepared:
    """Check the targets, and try each cell in a fresh process; what the two runs prepared is taken over."""
    work = Preparation(folder, record, places, observer.say)
    checked = {target.name: _checked(work, target) for target in record.targets}
    has_data = (folder / "prepare" / "dataset").is_dir()
    data = work.dataset() if has_data else None
    digests = data.digests if data is not None else {}
    first = FirstTrials(folder, record, places, observer, data.folder if data else None, digests.get(SPLITS[0]))
    made = {cell.name: _NOT_RUN for cell in cells(record.suite, record.targets)}
    for cell in cells(record.suite, record.targets):
        if (source := sources.get(cell.name)) is not None:
            made[cell.name] = _tried(first, cell, source, checked[cell.target.name])
    return Prepared(cells=made, dataset=data.folder if data else None, digests=digests)


def _checked(work: Preparation, target: Target) -> Outcome | str:
    try:
        outcome = work.check(target)
    except SpecError as error:
        return str(error)
    return outcome if outcome.status == "ok" else outcome.message or outcome.status


def _tried(first: FirstTrials, cell: Cell, source: PreparedCell, checked: Outcome | str) -> PreparedCell:
    if isinstance(checked, str):
        return PreparedCell(status="skipped", why=f"target not available here: {checked}")
    return first.run(cell, msgspec.structs.replace(source, status="ok", failure=None, why=""), checked)


def _lasting(pairs: Sequence[_Pair], prepared: Prepared, notes: list[Diagnostic]) -> dict[str, str]:
    """Return the pairs of which both ran; a note says why the base's did not."""
    found = {}
    for pair in pairs:
        if pair.base is None:
            continue
        partner = prepared.cells[pair.base.name]
        if partner.status == "ok":
            found[pair.row] = pair.base.name
        else:
            text = f"{pair.row} was measured again alone: the base's could not run: {partner.why}"
            notes.append(diagnostic("measured_alone", text, pair.row))
    return found
