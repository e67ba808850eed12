"""The ranking: from entries and a policy to rows with places, rank sets, probabilities and reasons."""

import math
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
from harness.spec.metrics import PERCENTILES
from harness.spec.policy import Policy

_GROUPS = ("measured", "undecided", "dropped", "failed", "skipped")


def rank(entries: Sequence[Entry], policy: Policy, *, suite: str, draws: int = 10_000, seed: int = 0) -> Ranking:
    """Decide: limits, Pareto front, utility, uncertainty, rank sets, reasons. Every entry becomes a row.

    `draws` are joint draws for score intervals, P(best) and rank acceptability; eligibility and rank sets
    are computed, not drawn. The order of entries does not matter. Their pairs of candidate and target must be unique.
    """
    weighting, left_out = _weighting(entries, policy)
    rows = in_order([assess(entry, policy, weighting) for entry in entries])
    noise = NoiseDraws(draws, seed)
    scored = [row for row in rows if row.score is not None]
    utilities = [utility_draws(scored, key, policy, noise) for key in weighting.keys]
    intervals = _intervals(scored, utilities, weighting)
    placed = [row for row in rows if row.placed]
    compared = [utility_draws(placed, key, policy, noise, paired=True) for key in weighting.keys]
    standings = standings_of(placed, compared, weighting, policy, noise)
    block_s = seconds_of_a_block(entries)
    paired = zip_longest(rows, standings)  # placed rows come first
    made = tuple(_row(row, found, intervals.get(name_of(row.entry)), policy, block_s) for row, found in paired)
    return Ranking(suite=suite, rows=made, notes=notes_of(made, left_out))


def in_order(rows: Sequence[Assessed]) -> list[Assessed]:
    """Sort rows: those with a place first, by score, then by status, then by name.

    A row that left the race was found to be worse than the one that beat it: its score counts as that of its beater
    at most, or as the best that was measured to the end, and at equal scores it comes later.
    """
    scores = {name_of(row.entry): row.score for row in rows if row.placed and row.score is not None}
    top = max((row.score for row in rows if _to_the_end(row) and row.score is not None), default=math.inf)
    beaten = {name_of(row.entry): row.entry.beaten_by for row in rows if row.entry.status == "dropped"}

    def score_of(row: Assessed) -> float:
        score, name, seen = -math.inf if row.score is None else row.score, name_of(row.entry), set[str]()
        while name in beaten and name not in seen:
            seen.add(name)
            name = beaten[name]
            score = min(score, top, scores.get(name, top))
        return score

    return sorted(
        rows,
        key=lambda row: (
            not row.placed,
            -score_of(row),
            _GROUPS.index(row.status),
            row.entry.candidate,
            row.entry.target,
        ),
    )


def _to_the_end(row: Assessed) -> bool:
    return row.placed and row.entry.status == "measured"


def seconds_of_a_block(entries: Sequence[Entry]) -> float | None:
    """Add up what a block of all rows still in the race takes; None where no row tells."""
    took = [each.request_s * count for each in entries if each.request_s is not None and (count := _requests(each))]
    return math.fsum(took) if took else None


def _requests(entry: Entry) -> float:
    """Return the requests of the first scenario in a block; 0 for a row that is not measured on."""
    found = [entry.metrics[key] for key in PERCENTILES if key in entry.metrics]
    return found[0].n / max(found[0].trials, 1) if found and entry.status == "measured" else 0.0


def _weighting(entries: Sequence[Entry], policy: Policy) -> tuple[Weighting, list[str]]:
    """Weigh the objectives; under `missing = "ignore"`, list those that are known for no measured row."""
    measured = [estimates_of(entry, policy) for entry in entries if entry.status == "measured"]
    known = {key for each in measured for key, found in each.items() if found is not None}
    weighting = weighting_of(policy, known)
    return weighting, [key for key in weighting_of(policy, policy.objectives).keys if key not in weighting.keys]


def _intervals(
    rows: Sequence[Assessed], utilities: Sequence[Floats], weighting: Weighting
) -> dict[str, tuple[float, float]]:
    """Give the 95 % score interval of each row whose spread is known; from its worst end where that is not bounded."""
    if not rows or not weighting.keys:
        return {}
    low, high = np.quantile(weighted(utilities, weighting.central), (0.025, 0.975), axis=1)
    known = [(i, row) for i, row in enumerate(rows) if row.certain]
    return {name_of(row.entry): (float(low[i]) if row.drawable else row.floor, float(high[i])) for i, row in known}


def _row(
    row: Assessed,
    standing: Standing | None,
    interval: tuple[float, float] | None,
    policy: Policy,
    block_s: float | None,
) -> Row:
    entry = row.entry
    found, gap = (standing.probabilities, standing.gap) if standing else (RankProbabilities(), GapToLeader())
    low, high = interval or (None, None)
    return Row(
        candidate=entry.candidate,
        target=entry.target,
        status=row.status,
        failure=entry.failure,
        eligible=row.eligible,
        place=standing.place if standing else None,
        rank_low=standing.low if standing else None,
        rank_high=standing.high if standing else None,
        may_be_best=standing is not None and standing.low == 1,
        score=row.score,
        score_low=low,
        score_high=high,
        **found._asdict(),
        limits=row.check.probabilities,
        pareto=standing is not None and standing.dominator is None,
        reasons=reasons_of(row, standing, policy, block_s),
        metrics=entry.metrics,
        utilities=row.utilities,
        **gap._asdict(),
        blocks=blocks_of(row) or None,
    )
