"""Why a row stands where it stands, and what to say of the ranking as a whole. Words only, no decisions."""

from __future__ import annotations

from collections.abc import Sequence

from harness.score.assess import NO_RESULT, ONE_TRIAL, Assessed
from harness.score.contest import Standing
from harness.score.records import Row
from harness.score.words import listed, name_of, percent, short_name, worse_word
from harness.spec.policy import Policy

_ROBUST = 0.8  # share of all weights from which on a first place is called robust


def reasons_of(row: Assessed, standing: Standing | None, policy: Policy) -> tuple[str, ...]:
    """List a row's reasons: what the run said of it first, then the decision's."""
    entry = row.entry
    why = [entry.why] if entry.why else []
    if entry.status in NO_RESULT:
        return (*(why or [entry.failure or entry.status]), *_flags(row))
    said = [*row.verdict.reasons]
    if standing is not None:
        said += _place(standing, row.score is not None) + _unsure(row, standing) + _dominated(row, standing, policy)
        said = said or _behind(standing)
    if not row.certain:
        said.append(ONE_TRIAL)
    return (*why, *said, *row.verdict.remarks, *_flags(row))


def notes_of(rows: Sequence[Row], left_out: Sequence[str]) -> tuple[str, ...]:
    """Say what concerns the whole: nothing eligible, a tie at the top, a flagged winner, weights."""
    notes = [f"{short_name(key)} is known for no row: left out of the score" for key in left_out]
    eligible = [row for row in rows if row.eligible]
    if not eligible:
        return ("no row is eligible" + _why_none(rows), *notes)
    first = eligible[0]
    if all(row.score is None for row in eligible):
        return (*notes, "nothing to rank by: the policy has limits but no objectives that are known")
    tied = [name_of(row) for row in eligible[1:] if row.rank == first.rank]
    if tied:
        notes.append(f"{name_of(first)} ties with {listed(tied)}: the order among them is only an order")
    flagged = [row for row in eligible if row.rank == first.rank and row.flags]
    notes += [f"the winner is flagged: {name_of(row)} ({'; '.join(row.flags)})" for row in flagged]
    single = [name_of(row) for row in eligible if row.p_best is None]
    if single:
        notes.append(f"one trial only, so left out of P(best): {listed(single)}")
    return (*notes, *_robustness(eligible))


def _place(standing: Standing, scored: bool) -> list[str]:
    best = ["best score"] if standing.leads and scored else []
    return best + ([f"ties with {listed(standing.ties)}"] if standing.ties else [])


def _unsure(row: Assessed, standing: Standing) -> list[str]:
    """Say why a row that lost its race may still tie with its winner."""
    if row.entry.beaten_by not in standing.ties:
        return []
    known = row.entry.correct
    rows = f" of {len(known):,} rows" if known is not None else ""
    return [f"more trials would not tell it from {row.entry.beaten_by}: what is left is the dataset{rows}"]


def _dominated(row: Assessed, standing: Standing, policy: Policy) -> list[str]:
    """Say who is better in what, and in which objectives this row is at best equal."""
    by = standing.dominator
    if by is None:
        return []
    known = [key for key in policy.objectives if by.estimates[key] is not None]
    equal = [key for key in known if _value(row, key) == _value(by, key)]
    worse = dict.fromkeys(worse_word(key) for key in known if key not in equal)
    same = f", no better in {listed(short_name(key) for key in equal)}" if equal else ""
    return [f"dominated by {name_of(by.entry)}: {listed(worse, most=9)}{same}"]


def _behind(standing: Standing) -> list[str]:
    """Say where a row on the front loses most to the first row."""
    worst = min(standing.losses, key=lambda key: standing.losses[key], default=None)
    if worst is None or standing.losses[worst] >= 0:
        return []
    return [f"behind {standing.leader}, most of all in {short_name(worst)}"]


def _value(row: Assessed, key: str) -> float | None:
    found = row.estimates[key]
    return None if found is None else found.value


def _flags(row: Assessed) -> tuple[str, ...]:
    return tuple(f"flagged: {flag}" for flag in row.entry.flags)


def _why_none(rows: Sequence[Row]) -> str:
    """Count what stands in the way, most common first: by status, and by the first reason's metric."""
    counts: dict[str, int] = {}
    for row in rows:
        word = "break a limit or lack a metric" if row.status == "measured" else f"{row.status}"
        counts[word] = counts.get(word, 0) + 1
    said = [f"{count} {word}" for word, count in sorted(counts.items(), key=lambda item: -item[1])]
    return f": {', '.join(said)}" if said else ""


def _robustness(eligible: Sequence[Row]) -> list[str]:
    """Say whether the first place hangs on the weights; nothing to say with one row or one objective."""
    first = eligible[0]
    several = first.central_weights is None or len(first.central_weights) > 1
    if len(eligible) < 2 or first.acceptability is None or not several:
        return []
    share = first.acceptability[0]
    said = f"{name_of(first)} is first under {percent(share)} of all weights"
    if share >= _ROBUST:
        return [f"{said}: robust"]
    rival = max(eligible[1:], key=lambda row: (row.acceptability or (0.0,))[0])
    return [f"{said}, {name_of(rival)} under {percent((rival.acceptability or (0.0,))[0])}: weights matter"]
