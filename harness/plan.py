"""From a suite to cells, and from cells to blocks of trials in shuffled order. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.spec.suite import Candidate, Suite
from harness.spec.target import Target

_HEADROOM = 0.9
_WARM_UP_SHARE = 0.3
SHORTEST_WINDOW = 0.1
"""The least share of a scenario's seconds that a tight budget may leave."""


class Cell(NamedTuple):
    """One candidate on one target; one row of the ranking."""

    candidate: Candidate
    target: Target

    @property
    def name(self) -> str:
        """The cell's name and folder: `candidate@target`."""
        return f"{self.candidate.name}@{self.target.name}"


def cells(suite: Suite, targets: Sequence[Target]) -> tuple[Cell, ...]:
    """Return every candidate on every target."""
    return tuple(Cell(candidate, target) for target in targets for candidate in suite.candidate)


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


def window_share(suite: Suite, overheads_s: Mapping[str, float], blocks: int, already_spent_s: float) -> float:
    """Return the share of each scenario's `seconds` that lets `blocks` blocks fit the budget.

    Args:
        overheads_s: per cell, the seconds a trial takes beside its measured windows.
        already_spent_s: seconds of the budget that preparing has used.
    """
    budget = suite.budget.seconds * _HEADROOM - already_spent_s
    wanted = sum(s.seconds for s in suite.scenario) * (1 + _WARM_UP_SHARE) * len(overheads_s)
    left = budget / blocks - sum(overheads_s.values())
    return float(min(1.0, max(SHORTEST_WINDOW, left / wanted))) if wanted else 1.0
