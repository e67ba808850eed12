"""Who stays in the race: the rule that spends measuring time only on what the decision still needs.

The rule. After each planned look, every cell still in the race is compared with the leader (the highest
mean utility) within blocks, and leaves when it is worse at one-sided level alpha / (2 (k - 1) looks), with k
the cells still in the race. The 2 is there because the data choose the leader: of two equal cells either may
be dropped. Three choices make it quick:
- Looks are planned at 5, 6, 8, 10, 12, 15, 19, 24, 30, 38, 48, 60 blocks rather than after each: twelve
  shares of alpha instead of 56, for a delay of a quarter at most.
- k counts who is still in: a comparison that can no longer be made needs no share. (Strictly, Bonferroni
  asks for the k that started; the error measured below stays far within alpha all the same.)
- Variances of differences are moderated by all cells' noise (`pairs.compare`), worth most at five blocks.

Measured with `make race-simulation`: 500 races each on a drifting host, against 60 blocks of every cell; second
best 5 % away, the others between 5 % and ten times the best. Share of the exhaustive measuring time at a process
spread of 2, 5 and 10 %, and that of a paired t-test after every block with half this caution:
  12 cells:  9.2 %  14.4 %  23.1 %   (10.0 %  15.4 %  24.3 %)
  40 cells:  8.6 %  10.5 %  14.5 %   ( 9.1 %  11.4 %  16.0 %)
With the others up to three times the best only, 12 cells: 9.3 %, 15.0 %, 25.6 %. The best was kept in all 6,000
races. Five blocks of everything alone are 8.3 %. Of two equal cells one is dropped in 3.9 % of 1,500 races of 8
blocks at 2 % spread, and in 2.7 % of 600 races of 60 blocks at 10 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.stats.additive import fit
from harness.stats.pairs import Pairs, compare, margin_of, p_better

Floats: TypeAlias = npt.NDArray[np.float64]
Booleans: TypeAlias = npt.NDArray[np.bool_]
Cells: TypeAlias = npt.NDArray[np.intp]
Mode: TypeAlias = Literal["winner", "front", "off"]

GROWTH = 1.25


@dataclass(frozen=True, slots=True)
class Rule:
    """How a race is run: most blocks, first look (3 for a quick one), error, tie margin, and its aim.

    `alpha` is the chance of dropping the true best. `margin` is in the unit of the values: 0.02 is 2 % on
    log-ratios and 0.02 of utility otherwise. "winner" looks for the best, "front" for cells that no other
    beats in every objective, "off" measures all.
    """

    blocks: int = 60
    first_look: int = 5
    alpha: float = 0.05
    margin: float = 0.02
    mode: Mode = "winner"

    @property
    def looks(self) -> tuple[int, ...]:
        """Give the planned block counts at which cells may leave."""
        return planned_looks(self.blocks, self.first_look)


@dataclass(frozen=True, slots=True)
class Drop:
    """A cell that left: after which block, on n shared blocks, with which p, how far behind which leader.

    `effect` is leader - cell in the values' unit; in a front race the smallest over objectives.
    """

    cell: int
    block: int
    n: int
    p: float
    effect: float
    leader: int


@dataclass(frozen=True, slots=True)
class Decision:
    """Where the race stands: who leads (`None` early, or in a front race), leaves, ties, and goes on.

    `tied` lists survivors whose difference to the leader is within the margin for certain, leader
    excluded; in a front race, survivors tied in every objective with some other. `settled`: more blocks
    would not matter.
    """

    leader: int | None
    drops: tuple[Drop, ...]
    alive: tuple[int, ...]
    tied: tuple[int, ...]
    settled: bool


def planned_looks(blocks: int, first: int) -> tuple[int, ...]:
    """Give block counts from `first` to `blocks`, each a quarter more than the last, at least one more."""
    looks = [min(first, blocks)]
    while looks[-1] < blocks:
        looks.append(min(blocks, max(looks[-1] + 1, round(looks[-1] * GROWTH))))
    return tuple(looks)


def race(values: Floats, alive: frozenset[int] | set[int], rule: Rule | None = None) -> Decision:
    """Decide after the latest block who stays, from all blocks so far.

    `values[block, cell]` are utilities, or -log of the metric where the policy has a single positive one;
    higher is better; NaN where a cell did not run. Front races take `values[block, cell, objective]`. The
    columns of cells that left earlier belong in it: they still tell how noisy cells are. Between planned
    looks nothing is dropped. Deterministic; permuting cells permutes the decision. Raises `ValueError`
    when the array's shape does not fit the mode, or no cell is alive.
    """
    rule = rule or Rule()
    _check(values, alive, rule)
    cells = np.array(sorted(alive), dtype=np.intp)
    if rule.mode == "front":
        return _front(values, cells, rule)
    return _winner(values, cells, rule)


def _check(values: Floats, alive: frozenset[int] | set[int], rule: Rule) -> None:
    wanted = 3 if rule.mode == "front" else 2
    if values.ndim != wanted:
        raise ValueError(f"a race with mode {rule.mode!r} needs {wanted} axes of values, not {values.ndim}")
    if not alive or not all(0 <= cell < values.shape[1] for cell in alive):
        raise ValueError(f"alive must name some of the {values.shape[1]} cells, not {sorted(alive)}")


def _winner(values: Floats, cells: Cells, rule: Rule) -> Decision:
    block = values.shape[0]
    leads = _leader(values[:, cells], rule.first_look)
    if leads is None or rule.mode == "off" or block not in rule.looks or cells.size == 1:
        leader = None if leads is None else int(cells[leads])
        return Decision(leader, (), _ints(cells), (), leader is not None and _alone(cells, rule))
    pairs, level = compare(values, cells), _level(cells.size, rule)
    p = p_better(pairs)[leads]
    out = (p < level) & (pairs.n[leads] >= rule.first_look)
    drops = tuple(_drop(pairs, cells, int(leads), int(loser), float(p[loser]), block) for loser in np.flatnonzero(out))
    tied = ~out & _within(pairs, level, rule.margin)[leads]
    tied[leads] = False
    settled = bool(np.all(out | tied | (np.arange(cells.size) == leads)))
    return Decision(int(cells[leads]), drops, _ints(cells[~out]), _ints(cells[tied]), settled)


def _front(values: Floats, cells: Cells, rule: Rule) -> Decision:
    block = values.shape[0]
    if block not in rule.looks or cells.size == 1:
        return Decision(None, (), _ints(cells), (), block >= rule.first_look and _alone(cells, rule))
    level = _level(cells.size, rule)
    pairs = [compare(values[:, :, objective], cells) for objective in range(values.shape[2])]
    p = np.stack([p_better(each) for each in pairs])
    enough = np.all([each.n >= rule.first_look for each in pairs], axis=0)
    beaten = np.where(enough & ~np.isnan(p).any(axis=0), p.max(axis=0), 1.0)
    np.fill_diagonal(beaten, 1.0)
    out = beaten.min(axis=0) < level
    drops = tuple(_front_drop(pairs, cells, beaten, int(loser), block) for loser in np.flatnonzero(out))
    stay = np.flatnonzero(~out)
    within = np.stack([_within(each, level, rule.margin) for each in pairs])
    pick = np.ix_(np.arange(len(pairs)), stay, stay)
    tied = within[pick].all(axis=0) & ~np.eye(stay.size, dtype=np.bool_)
    settled = _front_settled((p < level)[pick], within[pick])
    return Decision(None, drops, _ints(cells[stay]), _ints(cells[stay[tied.any(axis=0)]]), settled)


def _front_settled(better: Booleans, within: Booleans) -> bool:
    """Say whether each pair is a known trade-off, or known (better, worse, tied) in every objective."""
    some = better.any(axis=0)
    decided = (better | better.transpose(0, 2, 1) | within).all(axis=0)
    return bool(np.all((some & some.T) | decided | np.eye(some.shape[0], dtype=np.bool_)))


def _leader(values: Floats, fewest: int) -> int | None:
    """Find the cell with the highest effect among those with enough blocks; the first of exact equals."""
    blocks = (~np.isnan(values)).sum(axis=0)
    effects = np.where(blocks >= fewest, fit(values).cells, -np.inf)
    best = int(np.argmax(effects))
    return best if blocks[best] >= fewest else None


def _level(cells: int, rule: Rule) -> float:
    """Share alpha over looks and cells, and between the two ways a leader that the data chose may be wrong."""
    return rule.alpha / (2 * (cells - 1) * len(rule.looks))


def _within(pairs: Pairs, level: float, margin: float) -> Booleans:
    """Say which pairs' intervals lie within the margin at both ends."""
    return np.asarray(np.abs(pairs.effect) + margin_of(pairs, level) <= margin, dtype=np.bool_)


def _drop(pairs: Pairs, cells: Cells, leader: int, loser: int, p: float, block: int) -> Drop:
    n, effect = int(pairs.n[leader, loser]), float(pairs.effect[leader, loser])
    return Drop(int(cells[loser]), block, n, p, effect, int(cells[leader]))


def _front_drop(pairs: list[Pairs], cells: Cells, beaten: Floats, loser: int, block: int) -> Drop:
    winner = int(np.argmin(beaten[:, loser]))
    closest = min(pairs, key=lambda each: float(each.effect[winner, loser]))
    return _drop(closest, cells, winner, loser, float(beaten[winner, loser]), block)


def _alone(cells: Cells, rule: Rule) -> bool:
    return cells.size == 1 and rule.mode != "off"


def _ints(cells: Cells) -> tuple[int, ...]:
    return tuple(int(cell) for cell in cells)
