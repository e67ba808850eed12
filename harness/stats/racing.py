"""Racing: cells that are clearly worse than the best one are eliminated, which saves measuring time.

At each planned look, every cell still in the race is compared with the leader (the highest mean utility) within
blocks. It is eliminated when it is worse at one-sided level alpha / (2 (k - 1) looks). The 2 is needed because the
data choose the leader: of two equal cells either may be dropped. Three properties make it fast:
- Looks are at 3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 30, 38, 48, 60 blocks, not after each block. So alpha is divided
  by 14 instead of 58, and an elimination is delayed by a quarter of the blocks at most.
- k counts the cells still in the race. Bonferroni needs the k at the start; the error measured is far below alpha.
- Variances of differences are moderated by the noise of all cells (`pairs.compare`), which gains most at few blocks.

Measured with `make race-simulation`: 500 races each on a drifting host, against 60 blocks of every cell; second
best 5 % away, the others between 5 % and ten times the best. Fraction of the exhaustive measuring time at a process
spread of 2, 5 and 10 %; in parentheses a paired t-test after every block, without the factor 2:
  12 cells:  6.6 %  12.4 %  21.4 %   ( 8.2 %  14.3 %  23.7 %)
  40 cells:  5.5 %   7.9 %  12.2 %   ( 7.5 %  10.5 %  15.7 %)
With the others up to three times the best only, 12 cells: 6.8 %, 13.4 %, 24.6 %. The best was kept in all
races. Three blocks of all cells take 5.0 %; with the first look at five blocks it was 9.2 %, 14.1 % and 23.3 %.
Of two equal cells one is dropped in 1.1 % of 1,500 races of 8 blocks at 2 % spread, and in 3.7 % of 600 races of 60
blocks at 10 %. Of 15 equal cells with spikes x4 in 10 % of slices any is dropped within 3 to 5 blocks in 0.5 %
(by p50) to 2.8 % (by p99) of 400 races each.

Some noise does not shrink with blocks: all cells are judged on the same dataset rows, however often they run
(`fixed`). It counts in the tests, and a cell that it alone keeps from a decision is not measured any further.
"""

from collections.abc import Set
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from scipy import special

from harness.spec.arrays import Booleans, Floats, Indices
from harness.stats.additive import fit
from harness.stats.pairs import Pairs, compare, margin_of, p_better

Mode: TypeAlias = Literal["winner", "front", "off"]

GROWTH = 1.25
SURE, SHARPER = 0.025, 2.0
"""A difference rests on data alone once the blocks' own interval of it (at this one-sided level) is so many times
narrower than what the data leave open."""


class Rule(NamedTuple):
    """Parameters of a race. `alpha` is the probability of dropping the true best.

    `margin` is in the unit of the values: 0.02 is 2 % on log-ratios and 0.02 of utility otherwise. "winner" finds
    the best cell, "front" the cells that no other beats in every objective, "off" drops none.
    """

    blocks: int = 60
    first_look: int = 3
    alpha: float = 0.05
    margin: float = 0.02
    mode: Mode = "winner"

    @property
    def looks(self) -> tuple[int, ...]:
        """Return the block counts of the planned looks; each is a quarter more than the last, at least one more."""
        looks = [min(self.first_look, self.blocks)]
        while looks[-1] < self.blocks:
            looks.append(min(self.blocks, max(looks[-1] + 1, round(looks[-1] * GROWTH))))
        return tuple(looks)


class Elimination(NamedTuple):
    """A dropped cell: the block after which it was dropped, n shared blocks, p, and the leader that is better.

    `effect` is leader - cell in the values' unit; in a front race the smallest over objectives.
    """

    cell: int
    block: int
    n: int
    p: float
    effect: float
    leader: int


class Decision(NamedTuple):
    """State of the race after a block. `leader` is `None` before the first look and in a front race.

    `alive` lists the cells to measure further. `tied` lists those of them whose interval of the difference to the
    leader is within the margin, leader excluded; in a front race, cells tied in every objective with another one.
    `data_limited` lists cells that leave without being worse: even with blocks without end, only more data (dataset
    rows) could tell them from the leader; in a front race, from each other cell that they do not trade off against.
    `settled`: more blocks would not change the decision.
    """

    leader: int | None
    eliminated: tuple[Elimination, ...]
    alive: tuple[int, ...]
    tied: tuple[int, ...]
    settled: bool
    data_limited: tuple[int, ...] = ()


def race(values: Floats, alive: Set[int], rule: Rule, fixed: Floats | None = None) -> Decision:
    """Decide after the latest block which cells stay in the race, from all blocks so far.

    `values[block, cell]` are utilities, or -log of the metric where the policy has a single positive one;
    higher is better; NaN where a cell did not run. Front races take `values[block, cell, objective]`. `values`
    must include the cells dropped earlier: they inform the estimate of noise. `fixed[first, second]` (front races:
    `[first, second, objective]`) is the variance of the difference of two cells that more blocks do not reduce, in
    the values' unit squared; none by default. Between planned looks no cell is dropped. Deterministic; permuting
    cells permutes the decision. Raises `ValueError` when an array's shape does not fit, or no cell is alive.
    """
    wanted, decide = (3, _front) if rule.mode == "front" else (2, _winner)
    if values.ndim != wanted:
        raise ValueError(f"a race with mode {rule.mode!r} needs {wanted} axes of values, not {values.ndim}")
    if not alive or not all(0 <= cell < values.shape[1] for cell in alive):
        raise ValueError(f"alive must name some of the {values.shape[1]} cells, not {sorted(alive)}")
    shape = (values.shape[1], *values.shape[1:])
    if fixed is not None and fixed.shape != shape:
        raise ValueError(f"fixed must have the shape {shape}, not {fixed.shape}")
    cells = np.array(sorted(alive), dtype=np.intp)
    return decide(values, cells, rule, (np.zeros(shape) if fixed is None else fixed)[np.ix_(cells, cells)])


def _winner(values: Floats, cells: Indices, rule: Rule, fixed: Floats) -> Decision:
    block = values.shape[0]
    leads = _leader(values[:, cells], rule.first_look)
    if leads is None or rule.mode == "off" or block not in rule.looks or cells.size == 1:
        leader = None if leads is None else int(cells[leads])
        settled = leader is not None and cells.size == 1 and rule.mode != "off"
        return Decision(leader, (), _ints(cells), (), settled)
    pairs, level = compare(values, cells)._replace(fixed=fixed), _level(_compared(values, cells, fixed), rule)
    p = p_better(pairs)[leads]
    out = (p < level) & (pairs.n[leads] >= rule.first_look)
    losers = np.flatnonzero(out).tolist()
    gone = tuple(_eliminated([pairs], cells, leads, loser, p[loser], block) for loser in losers)
    tied = ~out & _within(pairs, level, rule.margin)[leads]
    limited = ~out & ~tied & _limited(pairs, fixed, level)[leads]
    tied[leads] = limited[leads] = False
    settled = bool(np.all(out | tied | limited | (np.arange(cells.size) == leads)))
    stay = _ints(cells[~out & ~limited])
    return Decision(int(cells[leads]), gone, stay, _ints(cells[tied]), settled, _ints(cells[limited]))


def _front(values: Floats, cells: Indices, rule: Rule, fixed: Floats) -> Decision:
    block = values.shape[0]
    if block not in rule.looks or cells.size == 1:
        return Decision(None, (), _ints(cells), (), block >= rule.first_look and cells.size == 1)
    level = _level(_compared(values, cells, fixed), rule)
    pairs = [compare(values[:, :, i], cells)._replace(fixed=fixed[:, :, i]) for i in range(values.shape[2])]
    p = np.stack([p_better(each) for each in pairs])
    enough = np.all([each.n >= rule.first_look for each in pairs], axis=0)
    beaten = np.where(enough & ~np.isnan(p).any(axis=0), p.max(axis=0), 1.0)
    np.fill_diagonal(beaten, 1.0)
    winners, least = beaten.argmin(axis=0), beaten.min(axis=0)
    out = least < level
    stay, losers = np.flatnonzero(~out), np.flatnonzero(out).tolist()
    gone = tuple(_eliminated(pairs, cells, winners[loser], loser, least[loser], block) for loser in losers)
    within = np.stack([_within(each, level, rule.margin) for each in pairs])
    limited = np.stack([_limited(each, fixed[:, :, i], level) for i, each in enumerate(pairs)])
    pick = np.ix_(np.arange(len(pairs)), stay, stay)
    tied = within[pick].all(axis=0) & ~np.eye(stay.size, dtype=np.bool_)
    known = _known((p < level)[pick], (within | limited)[pick])
    rests = known.all(axis=0) & (limited & ~within)[pick].any(axis=0).any(axis=0)
    return Decision(
        None,
        gone,
        _ints(cells[stay[~rests]]),
        _ints(cells[stay[tied.any(axis=0) & ~rests]]),
        bool(known.all()),
        _ints(cells[stay[rests]]),
    )


def _known(better: Booleans, equal: Booleans) -> Booleans:
    """Return which pairs are a known trade-off, or known (better, worse, equal) in every objective."""
    some = better.any(axis=0)
    decided = (better | better.transpose(0, 2, 1) | equal).all(axis=0)
    return np.asarray((some & some.T) | decided | np.eye(some.shape[0], dtype=np.bool_))


def _leader(values: Floats, fewest: int) -> int | None:
    """Return the cell with the highest effect among those with enough blocks; the first of exact equals."""
    blocks = (~np.isnan(values)).sum(axis=0)
    effects = np.where(blocks >= fewest, fit(values).cells, -np.inf)
    best = int(np.argmax(effects))
    return best if blocks[best] >= fewest else None


def _compared(values: Floats, cells: Indices, fixed: Floats) -> int:
    """Count the cells to divide alpha by: those in the race; all, where some may rest.

    Cells rest because they are near the leader, so those left are far from it also if all are equal.
    """
    return int(values.shape[1]) if bool(np.any(fixed > 0.0)) else cells.size


def _level(cells: int, rule: Rule) -> float:
    """Divide alpha by the looks, the comparisons, and the two directions of error when the data choose the leader."""
    return rule.alpha / (2 * (cells - 1) * len(rule.looks))


def _within(pairs: Pairs, level: float, margin: float) -> Booleans:
    """Return which pairs' intervals lie within the margin at both ends."""
    return np.asarray(np.abs(pairs.effect) + margin_of(pairs, level) <= margin, dtype=np.bool_)


def _limited(pairs: Pairs, fixed: Floats, level: float) -> Booleans:
    """Return which pairs no number of blocks would tell apart, as far as the blocks so far tell their difference.

    To ask for certainty here would measure on where the difference is close to what the data can tell.
    """
    reach = float(special.ndtri(1.0 - level)) * np.sqrt(fixed)
    sharp = SHARPER * margin_of(pairs._replace(fixed=0.0), SURE) <= reach
    return np.asarray((fixed > 0.0) & sharp & (np.abs(pairs.effect) <= reach), dtype=np.bool_)


def _eliminated(pairs: list[Pairs], cells: Indices, winner: int, loser: int, p: float, block: int) -> Elimination:
    """Describe a drop by the objective in which the winner is least ahead."""
    closest = min(pairs, key=lambda each: float(each.effect[winner, loser]))
    n, effect = int(closest.n[winner, loser]), float(closest.effect[winner, loser])
    return Elimination(int(cells[loser]), block, n, float(p), effect, int(cells[winner]))


def _ints(cells: Indices) -> tuple[int, ...]:
    return tuple(cells.tolist())
