"""Two runs, or a run and several of the base, compared: read, refuse, judge, measure suspects again, judge those."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

from harness.analyse.comparable import common_rows, forbidding, said
from harness.analyse.sides import Side, read_side
from harness.errors import SpecError
from harness.evidence.files import read_json
from harness.launch.base import Launchers
from harness.pipeline.again import AgainRecord, Terms, measure_again
from harness.pipeline.progress import Observer
from harness.score.changes import Change, Stated, paired, unpaired
from harness.score.records import Entry
from harness.score.regress import judge, judged_metrics
from harness.score.verdicts import Comparison, RowChange, Verdict
from harness.score.words import listed, percent
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.metrics import split_key

TOGETHER = 0.01
_FEWEST_TOGETHER = 3


class Asked(NamedTuple):
    """How to compare: margins by metric, only some metrics, the error rate, the noise as stated."""

    margins: Mapping[str, float] = {}
    only: Sequence[str] = ()
    alpha: float = 0.05
    noise: Stated = Stated()


class Sides(NamedTuple):
    """The base runs, and the new one."""

    bases: tuple[Side, ...]
    new: Side

    @property
    def base(self) -> Side:
        """The last run of the base: the one whose artefacts and targets stand for it."""
        return self.bases[-1]

    def noise(self, stated: Stated) -> Stated:
        """Return the noise from run to run, at least what the calibration kernel shows of the two runs."""
        if not self.base.kernel_ns or not self.new.kernel_ns:
            return stated
        return stated._replace(least=abs(math.log(self.new.kernel_ns / self.base.kernel_ns)) / math.sqrt(2.0))


def read_sides(bases: Sequence[Path], new: Path, force: bool = False) -> tuple[Sides, tuple[Diagnostic, ...]]:
    """Read the runs, and say what differs between them beside the models.

    Raises SpecError if they cannot be compared (with `force`, only if they have no row in common), and EvidenceError
    if one cannot be read.
    """
    newer = read_side(new)
    sides = Sides(tuple(read_side(base, newer.record.suite.policy) for base in bases), newer)
    where = f"{sides.base.record.id} and {newer.record.id}"
    found = {each.message: each for base in sides.bases for each in forbidding(base, newer)}
    if found and not force:
        texts = "; ".join(found)
        raise SpecError(where, f"cannot be compared: {texts}", "measure the base again here, or compare with --force")
    for base in sides.bases:
        if not common_rows(base, newer):
            names = f"{listed(base.entries)}, and {listed(newer.entries)}"
            raise SpecError(f"{base.record.id} and {newer.record.id}", f"no row in common: {names}")
    return sides, (*found.values(), *said(sides.base, newer))


def compare(sides: Sides, asked: Asked, notes: Sequence[Diagnostic] = ()) -> Comparison:
    """Judge every metric of every row that the runs have in common. Raises SpecError if `only` names none of them."""
    rows = common_rows(sides.base, sides.new)
    news = {row: sides.new.entries[row] for row in rows}
    keys = judged_metrics(sides.new.record.suite.policy, news.values(), asked.only)
    if asked.only and not keys:
        known = sorted({key for entry in news.values() for key in entry.metrics})
        raise SpecError("--metric", f"{listed(asked.only)}: no row has it", f"one of: {', '.join(known)}")
    noise = sides.noise(asked.noise)
    changes = _changes([base.entries for base in sides.bases], news, keys, noise)
    verdicts = judge(changes, asked.margins, asked.alpha)
    return Comparison(
        suite=sides.new.record.suite.name,
        base=tuple(base.record.id for base in sides.bases),
        new=sides.new.record.id,
        alpha=asked.alpha,
        verdicts=tuple(verdicts),
        rows=tuple(_row_changes(sides.base, sides.new)),
        notes=(*notes, *_together(verdicts), *_noise(verdicts, len(sides.bases), noise)),
    )


def within(folder: Path, asked: Asked) -> Comparison:
    """Judge the rows of a run that stand side by side with the base's, as `again.json` says.

    Raises SpecError if the run has no such rows, and EvidenceError if it cannot be read.
    """
    if not (folder / "again.json").is_file():
        raise SpecError(folder.name, "measured no rows of a base beside its own", "name two runs: BASE and NEW")
    again, side = read_json(folder / "again.json", AgainRecord), read_side(folder)
    keys = judged_metrics(side.record.suite.policy, side.entries.values(), asked.only)
    found = {key: paired(side.entries, again.pairs, key) for key in keys}
    changes = {(row, key): found[key][row] for row in again.pairs for key in keys if row in found[key]}
    return Comparison(
        suite=side.record.suite.name,
        base=(again.base,),
        new=side.record.id,
        alpha=asked.alpha,
        verdicts=tuple(judge(changes, asked.margins, asked.alpha)),
        rows=(),
        notes=(*again.notes, *_side_by_side(again)),
    )


def confirm(
    found: Comparison,
    sides: Sides,
    asked: Asked,
    terms: Terms,
    observer: Observer,
    everything: bool = False,
    places: Launchers | None = None,
) -> Comparison:
    """Measure what is suspect (or `everything`) again in fresh blocks, and say of each verdict what that showed.

    Only the fresh evidence decides: what was picked for being high cannot be used again.
    """
    if everything:
        sure = ("rows", "exact")
        marked = (
            msgspec.structs.replace(v, suspect=v.suspect or (v.p is not None and v.basis not in sure))
            for v in found.verdicts
        )
        found = msgspec.structs.replace(found, verdicts=tuple(marked))
    suspects = found.suspects
    if not suspects:
        return found
    rows = list(dict.fromkeys(each.row for each in suspects))
    keys = list(dict.fromkeys(each.metric for each in suspects))
    folder, again = measure_again(sides.base, sides.new, rows, keys, terms, observer, places)
    fresh = judge_again(folder, again, sides, suspects, asked)
    judged = {(each.row, each.metric): each for each in fresh}
    verdicts = tuple(_settled(each, judged.get((each.row, each.metric))) for each in found.verdicts)
    notes = (*found.notes, *again.notes, *_side_by_side(again))
    return msgspec.structs.replace(
        found, verdicts=verdicts, notes=notes, again=str(folder.relative_to(sides.new.folder))
    )


def judge_again(
    folder: Path, again: AgainRecord, sides: Sides, suspects: Sequence[Verdict], asked: Asked
) -> list[Verdict]:
    """Judge suspects on the fresh run alone, as a family of their own."""
    fresh = read_side(folder, sides.new.record.suite.policy)
    changes: dict[tuple[str, str], Change] = {}
    for key in dict.fromkeys(each.metric for each in suspects):
        rows = [each.row for each in suspects if each.metric == key]
        beside = paired(fresh.entries, {row: again.pairs[row] for row in rows if row in again.pairs}, key)
        alone = {
            row: fresh.entries[row] for row in rows if row not in again.pairs and key in fresh.entries[row].metrics
        }
        found = beside | unpaired([base.entries for base in sides.bases], alone, key, sides.noise(asked.noise))
        changes |= {(row, key): change for row, change in found.items()}
    return judge(changes, asked.margins, asked.alpha)


def _changes(
    bases: Sequence[Mapping[str, Entry]], news: Mapping[str, Entry], keys: Sequence[str], noise: Stated
) -> dict[tuple[str, str], Change]:
    found = {key: unpaired(bases, news, key, noise) for key in keys}
    return {(row, key): found[key][row] for row in news for key in keys if row in found[key]}


def _settled(first: Verdict, again: Verdict | None) -> Verdict:
    """Return the verdict of a suspect after it was measured again; others stay."""
    if not first.suspect:
        return first
    if again is None:
        why = "measured again, but there was nothing to judge by"
        return msgspec.structs.replace(first, confirmed=False, why=why)
    return msgspec.structs.replace(again, suspect=True, confirmed=again.verdict == "worse")


def _row_changes(base: Side, new: Side) -> list[RowChange]:
    """Return every row of either run with its status in both."""
    names = dict.fromkeys((*new.entries, *base.entries))
    return [
        RowChange(
            row=row,
            base=base.entries[row].status if row in base.entries else "absent",
            new=new.entries[row].status if row in new.entries else "absent",
            base_digest=base.digest(row),
            new_digest=new.digest(row),
            why=_why(new.entries.get(row)),
        )
        for row in names
    ]


def _why(entry: Entry | None) -> str:
    if entry is None or entry.status not in ("failed", "skipped"):
        return ""
    return next((each.message for each in entry.diagnostics if each.code == entry.status), "")


def _together(verdicts: Sequence[Verdict]) -> list[Diagnostic]:
    """Say that rows moved together: a host that is slower, or something that all rows share."""
    moved = [v.change for v in verdicts if split_key(v.metric)[1] == "latency_p50_ms" and v.change is not None]
    if len(moved) < _FEWEST_TOGETHER or abs(median(moved)) < TOGETHER:
        return []
    middle, same = median(moved), sum((each > 0) == (median(moved) > 0) for each in moved)
    text = (
        f"{same} of {len(moved)} medians moved the same way, the middle one by {middle:+.1%}: the host, or something "
        "that all rows share, may have changed"
    )
    return [diagnostic("moved_together", text, change=middle, rows=len(moved))]


def _noise(verdicts: Sequence[Verdict], bases: int, stated: Stated) -> list[Diagnostic]:
    """Say what the run-to-run noise is known from."""
    found = {each.basis for each in verdicts}
    if "runs" in found:
        return [diagnostic("run_noise", f"how runs differ is known from {bases} base runs", runs=bases)]
    if "stated" in found and stated.level is not None:
        return [
            diagnostic("run_noise", f"run-to-run noise of {percent(stated.level, 2)} is as stated", level=stated.level)
        ]
    if "assumed" in found:
        level = stated.of("latency_p50_ms")
        why = "as the calibration kernel differs by more than usual" if level == stated.least else "for times"
        text = (
            f"two runs do not tell how runs differ: run-to-run noise of {percent(level)} is assumed {why}; "
            "three base runs tell it, --noise states it, and --confirm measures side by side, where it cancels"
        )
        return [diagnostic("run_noise", text, level=level)]
    return []


def _side_by_side(again: AgainRecord) -> list[Diagnostic]:
    if not again.pairs:
        return []
    text = (
        f"{len(again.pairs)} rows were measured again side by side with the base's artefact, target and interpreter; "
        "what lies outside a trial (driver, kernel, firmware) was the same for both, and is not seen by this"
    )
    return [diagnostic("side_by_side", text, rows=[*again.pairs])]
