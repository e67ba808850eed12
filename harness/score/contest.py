"""The eligible rows compared: rank intervals, P(best), acceptability, Pareto dominance, gaps to the leader."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.score.assess import Assessed
from harness.score.compare import Comparison, beyond_margin, blocks_to_settle, compare, sensitivity_of
from harness.score.estimate import t_quantile
from harness.score.resample import NoiseDraws
from harness.score.weights import Weighting, central_weights, random_weights, rank_fractions
from harness.score.words import name_of
from harness.spec.arrays import Booleans, Floats
from harness.spec.policy import Policy

_WEIGHTS = 6  # random stream
_NEGLIGIBLE = 1e-18  # variance of a score


class RankProbabilities(NamedTuple):
    """How often draws put a row on each rank; None for a row with one trial."""

    p_best: float | None = None
    acceptability: tuple[float, ...] | None = None
    central_weights: dict[str, float] | None = None


class GapToLeader(NamedTuple):
    """A row's score minus the leader's, its interval, and the blocks in all that would make it significant."""

    gap: float | None = None
    gap_low: float | None = None
    gap_high: float | None = None
    blocks_to_settle: int | None = None


class Standing(NamedTuple):
    """The place of an eligible row; `losses` are its weighted utilities minus the leader's, by objective."""

    rank_low: int
    rank_high: int
    ties: tuple[str, ...]
    dominator: Assessed | None
    probabilities: RankProbabilities
    gap: GapToLeader
    leader: str
    losses: dict[str, float]


def weighted(utilities: Sequence[Floats], weights: Floats) -> Floats:
    """Sum utilities times weights; `weights` is per objective, or objectives × draws."""
    return np.asarray(sum(each * weight for each, weight in zip(utilities, weights, strict=True)))


def standings_of(
    rows: Sequence[Assessed], utilities: Sequence[Floats], weighting: Weighting, policy: Policy, noise: NoiseDraws
) -> list[Standing]:
    """Rank eligible rows, which come best first; `utilities` are their draws."""
    scores = np.array([row.score or 0.0 for row in rows])
    values = {key: np.array([row.value(key) for row in rows], dtype=np.float64) for key in weighting.keys}
    sensitivities = [sensitivity_of(row.estimates, weighting, policy) for row in rows]
    found = compare(scores, sensitivities, beyond_margin(scores, values, policy))
    _keep_race_results(found, rows)
    beats = dominators(_gains(values, policy, len(rows)))
    probabilities = _probabilities(rows, utilities, weighting, noise)
    return [
        Standing(
            found.rank_low(index),
            found.rank_high(index),
            _ties(index, found, rows),
            next((rows[int(by)] for by in np.flatnonzero(beats[:, index])), None),
            probabilities[index],
            _gap_to_leader(index, scores, found, rows),
            name_of(rows[0].entry),
            _losses(rows[index], rows[0], weighting),
        )
        for index in range(len(rows))
    ]


def _keep_race_results(found: Comparison, rows: Sequence[Assessed]) -> None:
    """Keep what the race decided: its few planned comparisons have more power than all pairs here.

    The race accounts for the noise of trials only, not for the sampling of dataset rows. Where a pair differs in
    the latter too, the comparison here decides.
    """
    place = {name_of(row.entry): index for index, row in enumerate(rows)}
    for index, row in enumerate(rows):
        winner = place.get(row.entry.beaten_by)
        if winner is not None and found.gaps[winner][index].fixed <= _NEGLIGIBLE:
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


def dominators(gains: Floats) -> Booleans:
    """Say who dominates whom: [i, j] is true if row i is as good as j everywhere and better somewhere.

    `gains` is rows × objectives, larger is better. The rows that nobody dominates are the Pareto front.
    """
    left, right = gains[:, None, :], gains[None, :, :]
    return np.asarray(np.all(left >= right, axis=2) & np.any(left > right, axis=2))


def _gains(values: dict[str, Floats], policy: Policy, k: int) -> Floats:
    """Orient values so that larger is better (rows × objectives); an unknown value is worse than any other."""
    scales = {key: policy.objectives[key] for key in values}
    oriented = [each if scales[key].target > scales[key].limit else -each for key, each in values.items()]
    gains = np.array(oriented).reshape(len(values), k).T
    return np.where(np.isnan(gains), -np.inf, gains)


def _probabilities(
    rows: Sequence[Assessed], utilities: Sequence[Floats], weighting: Weighting, noise: NoiseDraws
) -> list[RankProbabilities]:
    """Rank all draws; rows with one trial take no part, because their spread is not known."""
    places = [index for index, row in enumerate(rows) if row.certain]
    found = [RankProbabilities() for _ in rows]
    if not places or not weighting.keys:
        return found
    drawn = [each[places] for each in utilities]
    at_policy = rank_fractions(weighted(drawn, weighting.central)).ranks
    weights = random_weights(weighting, noise.draws, noise.generator(_WEIGHTS))
    over_all = rank_fractions(weighted(drawn, weights.T))
    central = central_weights(over_all.first, weights)
    for place, index in enumerate(places):
        middle = central[place]
        found[index] = RankProbabilities(
            float(at_policy[place, 0]),
            tuple(map(float, over_all.ranks[place])),
            None if np.isnan(middle).any() else dict(zip(weighting.keys, map(float, middle), strict=True)),
        )
    return found


def _gap_to_leader(index: int, scores: Floats, found: Comparison, rows: Sequence[Assessed]) -> GapToLeader:
    """Bound the difference to the first row at the level of the comparison."""
    if index == 0 or rows[index].score is None:
        return GapToLeader()
    value, gap = float(scores[index] - scores[0]), found.gaps[index][0]
    if not math.isfinite(gap.error):
        return GapToLeader(value)
    half = t_quantile(1.0 - found.level, gap.df) * gap.error
    settled = bool(found.better[0, index]) or -value <= 0.0 or not found.apart[0, index]
    blocks = min(blocks_of(rows[0]), blocks_of(rows[index]))
    settles = None if settled or blocks < 2 else blocks_to_settle(value, gap, found.level, blocks)
    return GapToLeader(value, max(-1.0, value - half), min(1.0, value + half), settles)


def blocks_of(row: Assessed) -> int:
    """Count the blocks of a row: the fewest of any of the policy's metrics that has trials, else 0."""
    ran = [int(each.df) + 1 for each in row.estimates.values() if each is not None and each.blocks.size]
    return min(ran, default=0)
