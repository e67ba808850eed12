"""The ranking: from entries and a policy to rows with ranks, probabilities and reasons."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from harness.score.assess import Assessed, assess, estimates_of, utility_draws
from harness.score.contest import GapToLeader, RankProbabilities, Standing, blocks_of, standings_of, weighted
from harness.score.reasons import notes_of, reasons_of
from harness.score.records import Entry, Ranking, Row
from harness.score.resample import NoiseDraws
from harness.score.weights import Weighting, weighting_of
from harness.score.words import name_of
from harness.spec.arrays import Floats
from harness.spec.policy import Policy

_GROUPS = ("measured", "dropped", "failed", "skipped")


def rank(entries: Sequence[Entry], policy: Policy, *, suite: str, draws: int = 10_000, seed: int = 0) -> Ranking:
    """Decide: limits, Pareto front, utility, uncertainty, rank intervals, reasons. Every entry becomes a row.

    `draws` are joint draws for score intervals, P(best) and rank acceptability; eligibility and rank
    intervals are computed, not drawn. The order of entries does not matter. Their pairs of candidate and target
    must be unique.
    """
    weighting, left_out = _weighting(entries, policy)
    judged = [assess(entry, policy, weighting) for entry in entries]
    leaders = [row for row in judged if row.eligible and row.entry.status == "measured"]
    top = max((row.score for row in leaders if row.score is not None), default=np.inf)
    rows = sorted(judged, key=lambda row: _place(row, top))
    noise = NoiseDraws(draws, seed)
    scored = [row for row in rows if row.score is not None]
    utilities = [utility_draws(scored, key, policy, noise) for key in weighting.keys]
    intervals = _intervals(scored, utilities, weighting)
    eligible = [row for row in rows if row.eligible]
    standings = standings_of(eligible, [each[: len(eligible)] for each in utilities], weighting, policy, noise)
    placed = zip_longest(rows, standings)  # eligible rows come first
    made = tuple(_row(row, standing, intervals.get(name_of(row.entry)), policy) for row, standing in placed)
    return Ranking(suite=suite, rows=made, notes=notes_of(made, left_out))


def _weighting(entries: Sequence[Entry], policy: Policy) -> tuple[Weighting, list[str]]:
    """Weigh the objectives; under `missing = "ignore"`, list those that are known for no measured row."""
    measured = [estimates_of(entry, policy) for entry in entries if entry.status == "measured"]
    known = {key for each in measured for key, found in each.items() if found is not None}
    weighting = weighting_of(policy, known)
    return weighting, [key for key in weighting_of(policy, policy.objectives).keys if key not in weighting.keys]


def _place(row: Assessed, top: float) -> tuple[bool, float, int, str, str]:
    """Sort key: eligible, then by score, then by status, then by name.

    A row that left the race was found to be worse than one that stayed: its score counts as `top` at most, and
    at equal scores it comes later.
    """
    score = np.inf if row.score is None else -row.score
    return (
        not row.eligible,
        max(score, -top) if row.entry.status == "dropped" else score,
        _GROUPS.index(row.entry.status),
        row.entry.candidate,
        row.entry.target,
    )


def _intervals(
    rows: Sequence[Assessed], utilities: Sequence[Floats], weighting: Weighting
) -> dict[str, tuple[float, float]]:
    """Give the 95 % score interval of each row that has more than one trial."""
    if not rows or not weighting.keys:
        return {}
    low, high = np.quantile(weighted(utilities, weighting.central), (0.025, 0.975), axis=1)
    return {name_of(row.entry): (float(low[i]), float(high[i])) for i, row in enumerate(rows) if row.certain}


def _row(row: Assessed, standing: Standing | None, interval: tuple[float, float] | None, policy: Policy) -> Row:
    entry = row.entry
    found, gap = (standing.probabilities, standing.gap) if standing else (RankProbabilities(), GapToLeader())
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
        **found._asdict(),
        limits=row.check.probabilities,
        pareto=standing is not None and standing.dominator is None,
        reasons=reasons_of(row, standing, policy),
        metrics=entry.metrics,
        utilities=row.utilities,
        **gap._asdict(),
        blocks=blocks_of(row) or None,
    )
