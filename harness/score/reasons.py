"""Diagnostics of a ranking: the reasons for the place of each row, and notes on the whole. Decides nothing."""

from collections import Counter
from collections.abc import Sequence

from harness.score.assess import NO_RESULT, ONE_TRIAL, Assessed
from harness.score.contest import Standing
from harness.score.limits import Question
from harness.score.records import More, Row
from harness.score.weights import weighting_of
from harness.score.words import listed, name_of, needs, percent, short_name, worse_word
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.policy import Policy

_NAMED = 3
_ENOUGH = ("best_score", "dominated")  # reasons that make "behind" needless
_ROBUST = 0.8  # fraction of all weights from which on a first place is called robust


def reasons_of(
    row: Assessed, standing: Standing | None, policy: Policy, block_s: float | None = None
) -> tuple[Diagnostic, ...]:
    """List a row's reasons: its status as the run gives it, the decision's reasons, remarks, warnings.

    `block_s`: seconds that one more block of the run takes, with the rows still in the race.
    """
    entry = row.entry
    block_s = block_s if entry.status == "measured" else None
    status = [each for each in entry.diagnostics if each.code in ("failed", "skipped", "dropped")]
    warnings = [each for each in entry.diagnostics if each.severity == "warning"]
    remarks = [each for each in entry.diagnostics if each not in status and each not in warnings]
    if entry.status in NO_RESULT:
        status = status or [diagnostic(entry.status, entry.failure or entry.status)]
        return (*status, *remarks, *warnings)
    decided = [*row.check.reasons]
    if standing is not None:
        decided += [_open(question, block_s) for question in row.questions]
        decided += _place(row, standing) + _dominated(row, standing, policy)
        decided += [] if any(each.code in _ENOUGH for each in decided) else _behind(standing)
    if not row.certain and not row.questions:
        decided.append(diagnostic("one_trial", ONE_TRIAL))
    return (*status, *decided, *row.check.remarks, *remarks, *warnings)


def notes_of(rows: Sequence[Row], left_out: Sequence[str]) -> tuple[Diagnostic, ...]:
    """Give the notes on the whole: no row eligible, a tie at the top, a winner with warnings, weights."""
    texts = {key: f"{short_name(key)} is known for no row: left out of the score" for key in left_out}
    notes = [diagnostic("objective_left_out", text, metric=key) for key, text in texts.items()]
    placed = [row for row in rows if row.place is not None]
    if not placed:
        return (diagnostic("no_row_eligible", "no row is eligible" + _statuses(rows)), *notes)
    if all(row.score is None for row in placed):
        text = "there is no ranking: the policy has no objective that is known and has a weight"
        return (*notes, diagnostic("no_ranking", text))
    return (*notes, *_top(placed), *_undecided(placed), *_single(placed), *_robustness(placed))


def _top(placed: Sequence[Row]) -> list[Diagnostic]:
    """Say which rows may be the best, where that is more than one, and which of them have warnings."""
    best, notes = [row for row in placed if row.may_be_best], []
    if len(best) > 1:
        names = [name_of(row) for row in best]
        text = f"{len(best)} rows may be the best: {listed(names, _NAMED)}; their order is that of the scores"
        notes.append(diagnostic("tie_at_top", text, names[0], rows=[*names]))
    flagged = [row for row in best if row.warnings]
    for row in flagged[:_NAMED]:
        text = f"{name_of(row)} may be the best and has warnings: {'; '.join(x.message for x in row.warnings)}"
        notes.append(diagnostic("winner_flagged", text, name_of(row), codes=[x.code for x in row.warnings]))
    if more := [name_of(row) for row in flagged[_NAMED:]]:
        text = f"{len(more)} more rows that may be the best have warnings: {listed(more, _NAMED)}"
        notes.append(diagnostic("winner_flagged", text, rows=[*more]))
    return notes


def _undecided(placed: Sequence[Row]) -> list[Diagnostic]:
    """Count the undecided rows, and say what should settle those that more blocks can settle."""
    rows = [row for row in placed if row.status == "undecided"]
    if not rows:
        return []
    by_blocks = [found for row in rows if (found := _most_blocks(row)) is not None]
    wanted, minutes = max(by_blocks, key=lambda found: found[0], default=(None, None))
    text = f"{len(rows)} of {len(placed)} rows {'is' if len(rows) == 1 else 'are'} undecided"
    if wanted is not None:
        which = "it" if len(rows) == 1 else "them" if len(by_blocks) == len(rows) else f"{len(by_blocks)} of them"
        amount = needs(More(blocks=wanted), None if minutes is None else 60 * minutes)
        text += f"; {amount}{'' if minutes is None else ','} should settle {which}"
    names = [name_of(row) for row in rows]
    return [diagnostic("rows_undecided", text, rows=[*names], more_blocks=wanted, minutes=minutes)]


def _most_blocks(row: Row) -> tuple[int, float | None] | None:
    """Return the blocks, and their minutes, that should settle all questions of a row; None if blocks do not."""
    asked = [each.data for each in row.reasons if each.code == "undecided"]
    blocks = [count for data in asked if isinstance(count := data.get("more_blocks"), int)]
    minutes = [time for data in asked if isinstance(time := data.get("minutes"), float)]
    return (max(blocks), max(minutes, default=None)) if 0 < len(blocks) == len(asked) else None


def _open(question: Question, block_s: float | None) -> Diagnostic:
    """Say what the evidence cannot judge yet, and what would settle it."""
    more = question.more
    seconds = None if block_s is None or more.blocks is None else more.blocks * block_s
    wanted = needs(more, seconds)
    text = f"{question.text} needs {wanted}" if wanted else f"{question.text} {question.otherwise}"
    return diagnostic(
        "undecided",
        text,
        metric=question.key,
        bound=question.bound,
        probability=question.probability,
        more_requests=more.requests,
        more_blocks=more.blocks,
        more_rows=more.rows,
        more_starts=more.starts,
        minutes=None if seconds is None else seconds / 60,
    )


def _single(placed: Sequence[Row]) -> list[Diagnostic]:
    names = [name_of(row) for row in placed if row.p_best is None]
    text = f"no P(best) where it depends on an uncertainty that is not known: {listed(names, _NAMED)}"
    return [diagnostic("single_trials", text, rows=[*names])] if names else []


def _place(row: Assessed, standing: Standing) -> list[Diagnostic]:
    """Say whether the row leads, which rows it is not told apart from, and whether only more data could tell."""
    leads = name_of(row.entry) == standing.leader and row.score is not None
    said = [diagnostic("best_score", "best score")] if leads else []
    if standing.not_told:
        names = listed(standing.not_told, _NAMED)
        said.append(diagnostic("tied", f"not told apart from {names}", rows=[*standing.not_told]))
    beaten = row.entry.beaten_by in standing.not_told
    if beaten or standing.needs_rows:
        better, sizes = (
            row.entry.beaten_by if beaten else standing.leader,
            [scores.values.size for scores in row.entry.rows.values()],
        )
        size = f" ({max(sizes):,} rows)" if sizes else ""
        text = f"only a larger dataset{size} could tell it from {better}"
        said.append(diagnostic("dataset_limited", text, winner=better))
    return said


def _dominated(row: Assessed, standing: Standing, policy: Policy) -> list[Diagnostic]:
    """Name a row that is better in some objectives, and those in which this row is equal at best."""
    by = standing.dominator
    if by is None:
        return []
    counted = weighting_of(policy, policy.objectives).keys
    known = [key for key in counted if by.value(key) is not None]
    equal = [key for key in known if row.value(key) == by.value(key)]
    worse = dict.fromkeys(_worse(row, key) for key in known if key not in equal)
    same = f", no better in {listed(short_name(key) for key in equal)}" if equal else ""
    text = f"dominated by {name_of(by.entry)}: {listed(worse, most=9)}{same}"
    return [diagnostic("dominated", text, by=name_of(by.entry))]


def _worse(row: Assessed, key: str) -> str:
    return worse_word(key) if row.value(key) is not None else f"{short_name(key)} not known"


def _behind(standing: Standing) -> list[Diagnostic]:
    """Name the objective in which a row on the Pareto front loses most to the first row."""
    worst = min(standing.losses, key=lambda key: standing.losses[key], default=None)
    if worst is None or standing.losses[worst] >= 0:
        return []
    text = f"behind {standing.leader}, mostly in {short_name(worst)}"
    return [diagnostic("behind", text, leader=standing.leader, metric=worst)]


def _statuses(rows: Sequence[Row]) -> str:
    """Count the rows by status, most common first."""
    broken = "breaks a limit or lacks a metric", "break a limit or lack a metric"
    words = {"measured": broken, "dropped": ("left the race",) * 2}
    counts = Counter(row.status for row in rows).most_common()
    said = (f"{count} {words.get(status, (status,) * 2)[count > 1]}" for status, count in counts)
    return f": {', '.join(said)}" if counts else ""


def _robustness(placed: Sequence[Row]) -> list[Diagnostic]:
    """Say whether the first place depends on the weights; nothing with one row or one objective."""
    first = placed[0]
    several = any(len(row.central_weights) > 1 for row in placed if row.central_weights is not None)
    unknown = any(row.may_be_best and row.acceptability is None for row in placed)
    if len(placed) < 2 or unknown or first.acceptability is None or not several:
        return []
    fraction, name = first.acceptability[0], name_of(first)
    said = f"{name} is first under {percent(fraction)} of all weights"
    if fraction >= _ROBUST:
        return [diagnostic("weights_robust", f"{said}: robust", name, fraction=fraction)]
    rival = max(placed[1:], key=lambda row: (row.acceptability or (0.0,))[0])
    rivals = percent((rival.acceptability or (0.0,))[0])
    said += f", {name_of(rival)} under {rivals}: weights matter"
    return [diagnostic("weights_matter", said, name, fraction=fraction, rival=name_of(rival))]
