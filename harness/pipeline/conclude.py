"""From evidence to the decision: the ranking, and the files that are derived with it."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.analyse.controls import controls
from harness.analyse.notes import notes_of
from harness.analyse.precision import against_fp32
from harness.analyse.reader import RunReader, open_run
from harness.analyse.remarks import remarked
from harness.analyse.sensitivity import sensitivity
from harness.errors import EvidenceError
from harness.evidence.files import read_json, write_json, write_whole
from harness.evidence.manifest import manifest_of
from harness.evidence.run import RunRecord, read_race
from harness.pipeline.decision import decision_of, digests_of, write_decision
from harness.score.choose import choose
from harness.score.rank import rank
from harness.score.records import Ranking
from harness.score.words import listed, percent
from harness.spec.diagnostics import Diagnostic
from harness.spec.outcome import Fact
from harness.spec.policy import Policy


class RankedRun(NamedTuple):
    """A ranked run, with the policy it was ranked by and the hosts it ran on: (facts, number of trials) each."""

    folder: Path
    record: RunRecord
    ranking: Ranking
    policy: Policy
    hosts: tuple[tuple[dict[str, Fact], int], ...] = ()


class Derived(NamedTuple):
    """A ranking as it follows from the evidence, with the reader of that; nothing is written yet."""

    reader: RunReader
    ranking: Ranking
    policy: Policy
    own_policy: bool


def conclude(folder: Path, policy: Policy | None = None) -> RankedRun:
    """Derive the ranking from the evidence in `folder`, by `policy` or the run's own, and write it with its record.

    Raises EvidenceError if the evidence is damaged, or the folder cannot be written.
    """
    found = derive(folder, policy)
    ranked = RankedRun(folder, found.reader.record, found.ranking, found.policy, found.reader.hosts())
    _write(ranked)
    manifest = manifest_of(folder)
    write_decision(folder, decision_of(*found, manifest, digests_of(folder)), manifest)
    return ranked


def derive(folder: Path, policy: Policy | None = None) -> Derived:
    """Derive the ranking from the evidence in `folder`, by `policy` or the run's own; writes nothing.

    Raises EvidenceError if the evidence is damaged.
    """
    reader, race = open_run(folder), read_race(folder)
    suite, judged_by = reader.record.suite, policy or reader.record.suite.policy
    dropped = {drop.cell: drop for drop in race.drops} if policy is None else {}
    entries, notes = reader.entries(judged_by, dropped), tuple[Diagnostic, ...]()
    if reader.record.synthetic_policy and policy is None:
        judged_by, chosen = choose(entries)
        notes = (chosen,)
    entries = against_fp32(remarked(entries, reader, judged_by), reader.cells, reader.prepared.cells)
    ranking = rank(entries, judged_by, suite=suite.name, seed=reader.record.seed)
    detectable = sensitivity(entries, judged_by)
    notes += (*ranking.notes, *([detectable] if detectable else []), *notes_of(reader, race, policy))
    notes += controls(folder, reader.record)
    return Derived(reader, msgspec.structs.replace(ranking, notes=_joined(notes)), judged_by, policy is None)


def _joined(notes: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """Say in one note that the budget was short and how far windows were shortened for it."""
    by_code = {note.code: note for note in notes}
    short, windows = by_code.get("budget_short"), by_code.get("windows_shortened")
    if short is None or windows is None:
        return notes
    text = f"{short.message} ({percent(float(str(windows.data['fraction'])))} of the suite's seconds at the least)"
    joined = msgspec.structs.replace(short, message=text, data={**short.data, **windows.data})
    return tuple(joined if note is short else note for note in notes if note is not windows)


def _write(ranked: RankedRun) -> None:
    """Write what other tools read: policy.json, ranking.json, ranking.csv, measurements.parquet."""
    from harness.analyse.frames import measurements, ranking_table  # pandas: what only reads a ranking goes without

    folder, record, ranking, policy, _ = ranked
    write_json(folder / "policy.json", policy)
    write_json(folder / "ranking.json", ranking)
    table = ranking_table(ranking)
    write_whole(folder / "ranking.csv", lambda path: table.to_csv(path, index=False))
    tidy = measurements(ranking, record.suite.traffic[0].name)
    write_whole(folder / "measurements.parquet", lambda path: tidy.to_parquet(path, index=False))


def load_ranked(folder: Path, reader: RunReader | None = None) -> RankedRun:
    """Read what a run was last ranked as; `reader` has its evidence, where that was read already.

    Raises EvidenceError if there is no ranking that can be read.
    """
    if not (folder / "ranking.json").exists():
        raise EvidenceError(
            f"{folder}: not ranked yet (complete it with `harness run --resume {folder}`, "
            f"or rank what is there with `harness rank {folder}`)"
        )
    try:
        ranking = read_json(folder / "ranking.json", Ranking)
        policy = read_json(folder / "policy.json", Policy)
    except EvidenceError as error:
        mend = f"derive it again with `harness rank {folder}`"
        raise EvidenceError(f"{folder}: its ranking cannot be read: {error} ({mend})") from error
    reader = reader or open_run(folder)
    unknown = {f"{row.candidate}@{row.target}" for row in ranking.rows} - {cell.name for cell in reader.cells}
    if unknown:
        what = f"has rows that the run does not have: {listed(sorted(unknown))}"
        raise EvidenceError(f"{folder / 'ranking.json'}: {what} (derive it again with `harness rank {folder}`)")
    return RankedRun(folder, reader.record, ranking, policy, reader.hosts())
