"""Diagnostics of a ranking: the reasons for the place of each row, and notes on the whole. Decides nothing."""

from collections import Counter
from collections.abc import Sequence

from harness.score.assess import NO_RESULT, ONE_TRIAL, Assessed
from harness.score.contest import Standing
from harness.score.records import Row
from harness.score.words import listed, name_of, percent, short_name, worse_word
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.policy import Policy

_ROBUST = 0.8  # fraction of all weights from which on a first place is called robust


def reasons_of(row: Assessed, standing: Standing | None, policy: Policy) -> tuple[Diagnostic, ...]:
    """List a row's reasons: its status as the run gives it, the decision's reasons, remarks, warnings."""
    entry = row.entry
    status = [each for each in entry.diagnostics if each.code in ("failed", "skipped", "dropped")]
    warnings = [each for each in entry.diagnostics if each.severity == "warning"]
    remarks = [each for each in entry.diagnostics if each not in status and each not in warnings]
    if entry.status in NO_RESULT:
        status = status or [diagnostic(entry.status, entry.failure or entry.status)]
        return (*status, *remarks, *warnings)
    decided = [*row.check.reasons]
    if standing is not None:
        decided += _place(row, standing) + _dominated(row, standing, policy)
        decided = decided or _behind(standing)
    if not row.certain:
        decided.append(diagnostic("one_trial", ONE_TRIAL))
    return (*status, *decided, *row.check.remarks, *remarks, *warnings)


def notes_of(rows: Sequence[Row], left_out: Sequence[str]) -> tuple[Diagnostic, ...]:
    """Give the notes on the whole: no row eligible, a tie at the top, a winner with warnings, weights."""
    texts = {key: f"{short_name(key)} is known for no row: left out of the score" for key in left_out}
    notes = [diagnostic("objective_left_out", text, metric=key) for key, text in texts.items()]
    eligible = [row for row in rows if row.eligible]
    if not eligible:
        return (diagnostic("no_row_eligible", "no row is eligible" + _statuses(rows)), *notes)
    if all(row.score is None for row in eligible):
        return (*notes, diagnostic("no_ranking", "there is no ranking: no objective of the policy is known"))
    return (*notes, *_top(eligible), *_single(eligible), *_robustness(eligible))


def _top(eligible: Sequence[Row]) -> list[Diagnostic]:
    """Say which rows tie with the first, and which of them have warnings."""
    first, *ties = [row for row in eligible if row.rank == eligible[0].rank]
    names, notes = [name_of(row) for row in ties], []
    if names:
        text = f"{name_of(first)} ties with {listed(names)}: their order is not significant"
        notes.append(diagnostic("tie_at_top", text, name_of(first), rows=[*names]))
    for row in (first, *ties):
        if row.warnings:
            text = f"{name_of(row)} may be the best and has warnings: {'; '.join(x.message for x in row.warnings)}"
            notes.append(diagnostic("winner_flagged", text, name_of(row), codes=[x.code for x in row.warnings]))
    return notes


def _single(eligible: Sequence[Row]) -> list[Diagnostic]:
    names = [name_of(row) for row in eligible if row.p_best is None]
    text = f"one trial only, so left out of P(best): {listed(names)}"
    return [diagnostic("single_trials", text, rows=[*names])] if names else []


def _place(row: Assessed, standing: Standing) -> list[Diagnostic]:
    """Say whether the row leads, with which rows it ties, and why so if the race found one of them better."""
    leads = name_of(row.entry) == standing.leader and row.score is not None
    said = [diagnostic("best_score", "best score")] if leads else []
    if standing.ties:
        said.append(diagnostic("tied", f"ties with {listed(standing.ties)}", rows=[*standing.ties]))
    if row.entry.beaten_by in standing.ties:
        winner, sizes = row.entry.beaten_by, [scores.values.size for scores in row.entry.rows.values()]
        size = f" ({max(sizes):,} rows)" if sizes else ""
        text = f"more trials would not separate it from {winner}; only a larger dataset{size} could"
        said.append(diagnostic("dataset_limited", text, winner=winner))
    return said


def _dominated(row: Assessed, standing: Standing, policy: Policy) -> list[Diagnostic]:
    """Name a row that is better in some objectives, and those in which this row is equal at best."""
    by = standing.dominator
    if by is None:
        return []
    known = [key for key in policy.objectives if by.value(key) is not None]
    equal = [key for key in known if row.value(key) == by.value(key)]
    worse = dict.fromkeys(worse_word(key) for key in known if key not in equal)
    same = f", no better in {listed(short_name(key) for key in equal)}" if equal else ""
    text = f"dominated by {name_of(by.entry)}: {listed(worse, most=9)}{same}"
    return [diagnostic("dominated", text, by=name_of(by.entry))]


def _behind(standing: Standing) -> list[Diagnostic]:
    """Name the objective in which a row on the Pareto front loses most to the first row."""
    worst = min(standing.losses, key=lambda key: standing.losses[key], default=None)
    if worst is None or standing.losses[worst] >= 0:
        return []
    text = f"behind {standing.leader}, mostly in {short_name(worst)}"
    return [diagnostic("behind", text, leader=standing.leader, metric=worst)]


def _statuses(rows: Sequence[Row]) -> str:
    """Count the rows by status, most common first."""
    words = {"measured": "break a limit or lack a metric"}
    counts = Counter(words.get(row.status, row.status) for row in rows).most_common()
    return f": {', '.join(f'{count} {word}' for word, count in counts)}" if counts else ""


def _robustness(eligible: Sequence[Row]) -> list[Diagnostic]:
    """Say whether the first place depends on the weights; nothing with one row or one objective."""
    first = eligible[0]
    several = first.central_weights is None or len(first.central_weights) > 1
    if len(eligible) < 2 or first.acceptability is None or not several:
        return []
    fraction, name = first.acceptability[0], name_of(first)
    said = f"{name} is first under {percent(fraction)} of all weights"
    if fraction >= _ROBUST:
        return [diagnostic("weights_robust", f"{said}: robust", name, fraction=fraction)]
    rival = max(eligible[1:], key=lambda row: (row.acceptability or (0.0,))[0])
    rivals = percent((rival.acceptability or (0.0,))[0])
    said += f", {name_of(rival)} under {rivals}: weights matter"
    return [diagnostic("weights_matter", said, name, fraction=fraction, rival=name_of(rival))]
