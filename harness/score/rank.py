"""The ranking: entries and a policy in, rows with ranks, probabilities and reasons out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.score.assess import NO_RESULT, Assessed, assess, estimates_of
from harness.score.contest import Standing, blocks_of, draw_scores, stand, weighted
from harness.score.estimate import Floats
from harness.score.reasons import notes_of, reasons_of
from harness.score.records import Entry, Ranking, Row
from harness.score.resample import Noise
from harness.score.weights import Weighting, weighting_of
from harness.spec.policy import Policy

_GROUPS = ("measured", "dropped", "failed", "skipped")


def rank(entries: Sequence[Entry], policy: Policy, *, suite: str, draws: int = 10_000, seed: int = 0) -> Ranking:
    """Decide: limits, Pareto front, utility, uncertainty, rank intervals, reasons. No row vanishes.

    `draws` are joint draws for score intervals, P(best) and rank acceptability; eligibility and rank
    intervals are computed, not drawn. The order of entries does not matter. Entries are told apart by
    candidate and target, which must be unique.
    """
    weighting, left_out = _weighting(entries, policy)
    judged = [assess(entry, policy, weighting) for entry in entries]
    top = max((row.score for row in judged if _may_lead(row) and row.score is not None), default=np.inf)
    rows = sorted(judged, key=lambda row: _place(row, top))
    noise = Noise(draws, seed)
    scored = [row for row in rows if row.score is not None]
    utilities = draw_scores(scored, weighting, policy, noise)
    intervals = _intervals(scored, utilities, weighting)
    eligible = [row for row in rows if row.eligible]
    standings = stand(eligible, [each[: len(eligible)] for each in utilities], weighting, policy, noise)
    of_row = dict(zip(map(_key, eligible), standings, strict=True))
    made = tuple(_row(row, of_row.get(_key(row)), intervals.get(_key(row)), policy) for row in rows)
    return Ranking(suite=suite, rows=made, notes=notes_of(made, left_out))


def _weighting(entries: Sequence[Entry], policy: Policy) -> tuple[Weighting, list[str]]:
    """Weigh the objectives, and name those that are known for no measured row (only if that is ignored)."""
    measured = [estimates_of(entry, policy) for entry in entries if entry.status == "measured"]
    known = {key for each in measured for key, found in each.items() if found is not None}
    weighting = weighting_of(policy, known)
    full = weighting_of(policy, set(policy.objectives))
    return weighting, [key for key in full.keys if key not in weighting.keys]


def _may_lead(row: Assessed) -> bool:
    return row.eligible and row.entry.status == "measured"


def _place(row: Assessed, top: float) -> tuple[bool, bool, float, int, str, str]:
    """Sort key: eligible, then with a result, then by score, then by name.

    A row that left the race was found to be worse than one that stayed: its score counts as `top` at most, and
    at equal scores it comes second.
    """
    score = np.inf if row.score is None else -row.score
    return (
        not row.eligible,
        row.entry.status in NO_RESULT,
        max(score, -top) if row.entry.status == "dropped" else score,
        _GROUPS.index(row.entry.status),
        row.entry.candidate,
        row.entry.target,
    )


def _key(row: Assessed) -> tuple[str, str]:
    return row.entry.candidate, row.entry.target


def _intervals(
    rows: Sequence[Assessed], utilities: Sequence[Floats], weighting: Weighting
) -> dict[tuple[str, str], tuple[float, float]]:
    """Give the 95 % score interval of each row that has more than one trial."""
    if not rows or not weighting.keys:
        return {}
    low, high = np.quantile(weighted(utilities, weighting.central), (0.025, 0.975), axis=1)
    return {_key(row): (float(low[index]), float(high[index])) for index, row in enumerate(rows) if row.certain}


def _row(row: Assessed, standing: Standing | None, interval: tuple[float, float] | None, policy: Policy) -> Row:
    entry, odds, gap = row.entry, standing and standing.odds, standing and standing.gap
    low, high = interval or (None, None)
    return Row(
        candidate=entry.candidate,
        target=entry.target,
        status=entry.status,
        failure=entry.failure,
        eligible=row.eligible,
        rank=standing.rank_low if standing else None,
        rank_low=standing.rank_low if standing else None,
        rank_high=standing.rank_high if standing else None,
        tie=bool(standing and standing.ties),
        score=row.score,
        score_low=low,
        score_high=high,
        p_best=odds.p_best if odds else None,
        acceptability=odds.acceptability if odds else None,
        central_weights=odds.central if odds else None,
        limits=row.verdict.probabilities,
        pareto=standing is not None and standing.dominator is None,
        reasons=reasons_of(row, standing, policy),
        metrics=entry.metrics,
        utilities=row.utilities,
        flags=entry.flags,
        remarks=entry.remarks,
        gap=gap.value if gap else None,
        gap_low=gap.low if gap else None,
        gap_high=gap.high if gap else None,
        blocks=blocks_of(row) or None,
        blocks_to_settle=gap.settles if gap else None,
    )
