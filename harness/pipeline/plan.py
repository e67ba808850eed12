"""From cells to blocks of trials in shuffled order, and how long windows may be. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.spec.suite import Suite

_HEADROOM = 0.9
_WARM_UP_FRACTION = 0.3
SHORTEST_WINDOW = 0.1
"""The smallest fraction of a scenario's seconds that a tight budget may leave."""


class Planned(NamedTuple):
    """One trial to come: its cell, its block, its running number in the whole plan."""

    cell: str
    block: int
    sequence: int


def block(names: Sequence[str], seed: int, number: int) -> tuple[Planned, ...]:
    """Return block `number`: every cell once, in an order that only the seed and the number decide.

    The order is drawn over all cells of the run, so that a cell which drops out moves no other.
    """
    order = np.random.default_rng([seed, number]).permutation(len(names))
    start = number * len(names)
    return tuple(Planned(names[i], number, start + position) for position, i in enumerate(order))


def first_look(quick: bool) -> int:
    """Return after how many blocks a cell may be dropped."""
    return 3 if quick else 5


def planned_blocks(suite: Suite, quick: bool) -> int:
    """Return how many blocks the windows are sized for."""
    return max(suite.budget.trials, first_look(quick))


def window_fraction(suite: Suite, overheads_s: Mapping[str, float], blocks: int, already_spent_s: float) -> float:
    """Return the fraction of each scenario's `seconds` that lets `blocks` blocks fit the budget.

    `overheads_s`: seconds that a trial of each cell takes beside its windows; `already_spent_s`: those of preparing.
    """
    budget = suite.budget.seconds * _HEADROOM - already_spent_s
    wanted = sum(s.seconds for s in suite.scenario) * (1 + _WARM_UP_FRACTION) * len(overheads_s)
    left = budget / blocks - sum(overheads_s.values())
    return float(min(1.0, max(SHORTEST_WINDOW, left / wanted))) if wanted else 1.0
