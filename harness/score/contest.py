"""The eligible rows against each other: rank intervals, P(best), acceptability, the Pareto front, gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.score.acceptability import central_weights, rank_shares
from harness.score.assess import Assessed, utility_draws
from harness.score.compare import Comparison, beyond_margin, blocks_to_settle, compare, loads_of
from harness.score.estimate import Floats, t_quantile
from harness.score.pareto import dominators
from harness.score.resample import Noise
from harness.score.weights import Weighting, random_weights
from harness.score.words import name_of
from harness.spec.policy import Policy

_WEIGHTS = 6  # random stream
_NOTHING = 1e-18  # variance of a score


class Odds(NamedTuple):
    """How a row fares over draws; None for a row that rests on one trial."""

    p_best: float | None = None
    acceptability: tuple[float, ...] | None = None
    central: dict[str, float] | None = None


class GapTo(NamedTuple):
    """A row's score less the leader's, its interval, and blocks in all that would settle it."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    settles: int | None = None


class Standing(NamedTuple):
    """Where an eligible row stands; `losses` are its weighted utilities less the leader's, by objective."""

    rank_low: int
    rank_high: int
    ties: tuple[str, ...]
    dominator: Assessed | None
    odds: Odds
    gap: GapTo
    leads: bool
    leader: str
    losses: dict[str, float]


def draw_scores(rows: Sequence[Assessed], weighting: Weighting, policy: Policy, noise: Noise) -> list[Floats]:
    """Draw each objective's utility for all rows jointly (per objective: rows × draws)."""
    return [utility_draws(rows, key, policy, noise) for key in weighting.keys]


def weighted(utilities: Sequence[Floats], weights: Floats) -> Floats:
    """Sum utilities times weights; `weights` is per objective, or objectives × draws."""
    total = np.zeros_like(utilities[0])
    for each, weight in zip(utilities, weights, strict=True):
        total += each * weight
    return total


def stand(
    rows: Sequence[Assessed], utilities: Sequence[Floats], weighting: Weighting, policy: Policy, noise: Noise
) -> list[Standing]:
    """Rank eligible rows, which come best first; `utilities` are their draws."""
    scores = np.array([row.score or 0.0 for row in rows])
    values = {key: _values(rows, key) for key in weighting.keys}
    found = compare(scores, [loads_of(row.estimates, weighting, policy) for row in rows], beyond_margin(scores, values))
    _remember(found, rows)
    beats = dominators(_gains(values, policy, len(rows)))
    odds = _odds(rows, utilities, weighting, noise)
    return [
        Standing(
            found.rank_low(index),
            found.rank_high(index),
            _ties(index, found, rows),
            next((rows[int(by)] for by in np.flatnonzero(beats[:, index])), None),
            odds[index],
            _gap_to_leader(index, scores, found, rows),
            index == 0,
            name_of(rows[0].entry),
            _losses(rows[index], rows[0], weighting),
        )
        for index in range(len(rows))
    ]


def _remember(found: Comparison, rows: Sequence[Assessed]) -> None:
    """Let what a race has decided stand: fewer comparisons, at planned looks, tell more than all pairs here.

    A race knows how trials differ, but not what else is uncertain: which rows the dataset happens to have. Where
    a pair differs in that as well, the comparison of all there is decides.
    """
    place = {name_of(row.entry): index for index, row in enumerate(rows)}
    for index, row in enumerate(rows):
        winner = place.get(row.entry.beaten_by)
        if winner is not None and found.gaps[winner][index].fixed <= _NOTHING:
            found.better[winner, index], found.better[index, winner] = True, False


def _losses(row: Assessed, first: Assessed, weighting: Weighting) -> dict[str, float]:
    pairs = zip(weighting.keys, weighting.central, strict=True)
    return {k: float(w) * (row.utilities.get(k, 0.0) - first.utilities.get(k, 0.0)) for k, w in pairs}


def _ties(index: int, found: Comparison, rows: Sequence[Assessed]) -> tuple[str, ...]:
    """Name the other rows that share this row's rank."""
    rank = found.rank_low(index)
    return tuple(
        name_of(row.entry) for place, row in enumerate(rows) if place != index and found.rank_low(place) == rank
    )


def _values(rows: Sequence[Assessed], key: str) -> Floats:
    return np.array(
        [math.nan if (found := row.estimates[key]) is None else found.value for row in rows], dtype=np.float64
    )


def _gains(values: dict[str, Floats], policy: Policy, k: int) -> Floats:
    """Orient values so that larger is better; not known is worse than anything."""
    gains = np.zeros((k, len(values)))
    for column, (key, each) in enumerate(values.items()):
        objective = policy.objectives[key]
        sign = 1.0 if objective.target > objective.limit else -1.0
        gains[:, column] = np.where(np.isnan(each), -np.inf, sign * each)
    return gains


def _odds(rows: Sequence[Assessed], utilities: Sequence[Floats], weighting: Weighting, noise: Noise) -> list[Odds]:
    """Play the draws; rows that rest on one trial do not take part, because their spread is not known."""
    places = [index for index, row in enumerate(rows) if row.certain]
    odds = [Odds() for _ in rows]
    if not places or not weighting.keys:
        return odds
    playing = [each[places] for each in utilities]
    at_policy = rank_shares(weighted(playing, weighting.central)).ranks
    weights = random_weights(weighting, noise.draws, noise.generator(_WEIGHTS))
    over_all = rank_shares(weighted(playing, weights.T))
    central = central_weights(over_all.first, weights)
    for place, index in enumerate(places):
        middle = central[place]
        odds[index] = Odds(
            float(at_policy[place, 0]),
            tuple(map(float, over_all.ranks[place])),
            None if np.isnan(middle).any() else dict(zip(weighting.keys, map(float, middle), strict=True)),
        )
    return odds


def _gap_to_leader(index: int, scores: Floats, found: Comparison, rows: Sequence[Assessed]) -> GapTo:
    """Bound the difference to the first row at the level at which it is decided."""
    if index == 0 or rows[index].score is None:
        return GapTo()
    value, gap = float(scores[index] - scores[0]), found.gaps[index][0]
    if not math.isfinite(gap.error):
        return GapTo(value)
    half = t_quantile(1.0 - found.level, gap.df) * gap.error
    settled = bool(found.better[0, index]) or -value <= 0.0 or not found.apart[0, index]
    blocks = min(blocks_of(rows[0]), blocks_of(rows[index]))
    settles = None if settled or blocks < 2 else blocks_to_settle(value, gap, found.level, blocks)
    return GapTo(value, max(-1.0, value - half), min(1.0, value + half), settles)


def blocks_of(row: Assessed) -> int:
    """Count the blocks behind a row: the fewest of any of the policy's metrics that has trials, else 0."""
    ran = [int(each.df) + 1 for each in row.estimates.values() if each is not None and each.blocks.size]
    return min(ran, default=0)
