"""The placed rows compared: rank sets, P(best), acceptability, Pareto dominance, gaps to the leader."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.score.assess import Assessed
from harness.score.compare import Comparison, beyond_margin, compare, sensitivity_of
from harness.score.estimate import t_quantile
from harness.score.resample import NoiseDraws, draws_of
from harness.score.settle import Gap, blocks_to_settle
from harness.score.weights import Weighting, central_weights, random_weights, rank_fractions
from harness.score.words import name_of
from harness.spec.arrays import Booleans, Floats
from harness.spec.policy import Policy

_WEIGHTS = 6  # random stream
_NEGLIGIBLE = 1e-18  # variance of a score
_SETTLED = 0.01  # by so much may a probability depend on what is not known


class RankProbabilities(NamedTuple):
    """How often draws put a row on each rank; None for a row whose uncertainty is not known."""

    p_best: float | None = None
    acceptability: tuple[float, ...] | None = None
    central_weights: dict[str, float] | None = None


class GapToLeader(NamedTuple):
    """A row's score minus the leader's, its interval, and the blocks in all that would tell the two apart."""

    gap: float | None = None
    gap_low: float | None = None
    gap_high: float | None = None
    blocks_to_settle: int | None = None


class Standing(NamedTuple):
    """The place of a row among k; `losses` are its weighted utilities minus the leader's, by objective.

    `not_told` names the rows that it is not told apart from; `needs_rows` says that, against the leader, only more
    rows of the dataset could.
    """

    place: int
    low: int
    high: int
    not_told: tuple[str, ...]
    needs_rows: bool
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
    """Rank the placed rows, which come in order of their places; `utilities` are their draws."""
    scores = np.array([row.score or 0.0 for row in rows])
    values = {key: np.array([row.value(key) for row in rows], dtype=np.float64) for key in weighting.keys}
    sensitivities = [sensitivity_of(row.estimates, weighting, policy) for row in rows]
    apart, proven = beyond_margin(scores, values, policy), np.array([row.proven for row in rows])
    found = _with_race_results(compare(scores, sensitivities, apart, proven), rows)
    beats = dominators(_gains(values, policy, len(rows)))
    probabilities = _probabilities(rows, utilities, weighting, policy, noise, [int(low) == 1 for low in found.low])
    return [
        Standing(
            index + 1,
            min(index + 1, int(found.low[index])),
            max(index + 1, int(found.high[index])),
            tuple(name_of(row.entry) for j, row in enumerate(rows) if j != index and not found.told_apart(index, j)),
            _needs_rows(index, scores, found),
            next((rows[int(by)] for by in np.flatnonzero(beats[:, index])), None),
            probabilities[index],
            _gap_to_leader(index, scores, found, rows),
            name_of(rows[0].entry),
            _losses(rows[index], rows[0], weighting),
        )
        for index in range(len(rows))
    ]


def _with_race_results(found: Comparison, rows: Sequence[Assessed]) -> Comparison:
    """Add what the race decided: its few planned comparisons have more power than all pairs here.

    Where a pair differs by more than trials can tell (the sampling of dataset rows), the comparison here decides.
    """
    better, place = found.better.copy(), {name_of(row.entry): index for index, row in enumerate(rows)}
    for index, row in enumerate(rows):
        winner = place.get(row.entry.beaten_by)
        if winner is not None and found.gap(winner, index).fixed <= _NEGLIGIBLE:
            better[index, winner] = False
            better[:, index] |= better[:, winner]
            better[winner, index] = True
    low = np.maximum(found.low, 1 + better.sum(axis=0))
    high = np.minimum(found.high, len(rows) - better.sum(axis=1))
    return found._replace(better=better, low=low, high=high)


def _losses(row: Assessed, first: Assessed, weighting: Weighting) -> dict[str, float]:
    pairs = zip(weighting.keys, weighting.central, strict=True)
    return {k: float(w) * (row.utilities.get(k, 0.0) - first.utilities.get(k, 0.0)) for k, w in pairs}


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
    rows: Sequence[Assessed],
    utilities: Sequence[Floats],
    weighting: Weighting,
    policy: Policy,
    noise: NoiseDraws,
    may_lead: Sequence[bool],
) -> list[RankProbabilities]:
    """Rank all draws. A draw that breaks a limit is last, never best.

    A row whose spread is not known has no probabilities. The others have those that hardly depend on it: without such
    rows they are highest; lowest where these compete as they were measured, which is the best that is known of them, or
    where one of a single trial, of which nothing is known, may be the best.
    """
    found = [RankProbabilities() for _ in rows]
    known = np.array([row.drawable for row in rows], dtype=np.bool_)
    if not known.any() or not weighting.keys:
        return found
    alone = any(best and not row.certain for row, best in zip(rows, may_lead, strict=True))
    kept = np.array([_keeps_limits(row, policy, noise) for row in rows])
    weights = random_weights(weighting, noise.draws, noise.generator(_WEIGHTS))
    at_policy = _first(np.where(kept, weighted(utilities, weighting.central), -1.0), kept, known, alone)
    scores = np.where(kept, weighted(utilities, weights.T), -1.0)
    over_all = _first(scores, kept, known, alone)
    central = central_weights(over_all.times, weights)
    for index in np.flatnonzero(known):
        middle, settled = central[index], over_all.settled[index]
        found[index] = RankProbabilities(
            float(at_policy.lowest[index]) if at_policy.settled[index] else None,
            tuple(map(float, over_all.ranks[index])) if settled else None,
            dict(zip(weighting.keys, map(float, middle), strict=True))
            if settled and np.isfinite(middle).all()
            else None,
        )
    return found


class _First(NamedTuple):
    """How often each row is first: at the least and at the most, and in which draws (draws × rows); all its ranks."""

    ranks: Floats
    lowest: Floats
    highest: Floats
    times: Floats

    @property
    def settled(self) -> Booleans:
        """Whether it hardly depends on the rows whose spread is not known."""
        return np.asarray(self.highest - self.lowest <= _SETTLED)


def _first(scores: Floats, kept: Booleans, known: Booleans, alone: bool) -> _First:
    found = rank_fractions(scores)
    times = np.where(kept.T, found.first, 0.0)
    highest = np.zeros(len(scores))
    highest[known] = np.where(kept[known].T, rank_fractions(scores[known]).first, 0.0).mean(axis=0)
    return _First(found.ranks, np.zeros(len(scores)) if alone else times.mean(axis=0), highest, times)


def _keeps_limits(row: Assessed, policy: Policy, noise: NoiseDraws) -> Booleans:
    """Say for each draw whether the row keeps the limits that are open questions."""
    kept = np.ones(noise.draws, dtype=np.bool_)
    for question in row.questions:
        limit, found = policy.limits.get(question.key), row.estimates[question.key]
        if limit is not None and found is not None:
            (values,) = draws_of([found], noise)
            kept &= (values <= (math.inf if limit.max is None else limit.max)) & (
                values >= (-math.inf if limit.min is None else limit.min)
            )
    return kept


def _needs_rows(index: int, scores: Floats, found: Comparison) -> bool:
    """Whether a row's difference to the leader is within what the sampling of dataset rows alone explains."""
    gap = found.gap(0, index)
    if index == 0 or found.told_apart(0, index) or not found.apart[0, index] or not math.isfinite(gap.fixed):
        return False
    difference, least = float(scores[0] - scores[index]), t_quantile(1.0 - found.level, math.inf)
    return gap.fixed > _NEGLIGIBLE and least * math.sqrt(gap.fixed) >= difference > 0


def _gap_to_leader(index: int, scores: Floats, found: Comparison, rows: Sequence[Assessed]) -> GapToLeader:
    """Bound the difference to the first row at the level of the comparison."""
    if index == 0 or rows[index].score is None:
        return GapToLeader()
    value, gap = float(scores[index] - scores[0]), found.gap(index, 0)
    if not math.isfinite(gap.error):
        return GapToLeader(value)
    half = gap.half_width(found.level)
    low, high = max(-1.0, value - half), min(1.0, value + half)
    return GapToLeader(value, low, high, _blocks_to_settle(index, value, gap, found, rows))


def _blocks_to_settle(index: int, value: float, gap: Gap, found: Comparison, rows: Sequence[Assessed]) -> int | None:
    """Estimate the blocks that tell a row from the leader; None where another question comes first."""
    blocks = min(blocks_of(rows[0]), blocks_of(rows[index]))
    open_still = bool(rows[0].questions or rows[index].questions)
    if open_still or found.told_apart(0, index) or value >= 0.0 or not found.apart[0, index] or blocks < 2:
        return None
    return blocks_to_settle(value, gap, found.level, blocks)


def blocks_of(row: Assessed) -> int:
    """Count the blocks of a row: the fewest of any of the policy's metrics that has trials, else 0."""
    ran = [int(each.ran.sum()) for each in row.estimates.values() if each is not None and each.blocks.size]
    return min(ran, default=0)
