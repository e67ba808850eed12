"""Prints the measuring time and error rate of races; run as `python -m tests.stats.race_simulation [RACES]`.

Synthetic cells on a drifting host: a slow sine of ±20 % plus a random walk, seen by every cell at its own
place in the shuffled block. The best cell is cell 0; the second is 5 % slower; the others lie between 5 % and
`slowest` times the best, evenly on a log scale. Every trial adds its own process effect.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
from scipy import special

from harness.selftest.races import BLOCKS, Step, chosen, run, utilities
from harness.spec.arrays import Floats
from harness.stats.racing import Rule

FIELDS = tuple((cells, spread) for cells in (12, 40) for spread in (0.02, 0.05, 0.10))


class Outcome(NamedTuple):
    """Mean fraction of the exhaustive measuring time, and fraction of races in which the true best survived."""

    time: float
    kept: float
    races: int


def plain(rule: Rule) -> Step:
    """Give the step of the baseline: a paired t-test with its own variance only, after every block."""
    looks = rule.blocks - rule.first_look + 1

    def step(seen: Floats, alive: set[int]) -> tuple[set[int], bool]:
        n = seen.shape[0]
        if n < rule.first_look:
            return alive, False
        cells = np.array(sorted(alive))
        leader = int(cells[np.argmax(seen[:, cells].mean(axis=0))])
        others = cells[cells != leader]
        gaps = seen[:, [leader]] - seen[:, others]
        t = gaps.mean(axis=0) / gaps.std(axis=0, ddof=1) * np.sqrt(n)
        out = special.stdtr(n - 1, -t) < rule.alpha / ((cells.size - 1) * looks)
        left = alive - {int(cell) for cell in others[out]}
        return left, len(left) == 1

    return step


def simulate(step: Step, races: int, cells: int, spread: float, **field: float) -> Outcome:
    """Run seeded races: race number s has the same field for every rule."""
    results = [run(utilities(np.random.default_rng([s, cells]), cells, spread, **field), step) for s in range(races)]
    times, kept = zip(*results, strict=True)
    return Outcome(float(np.mean(times)), float(np.mean(kept)), races)


def table(races: int) -> str:
    """Give the figures, one line per field."""
    rule = Rule(blocks=BLOCKS)
    lines = [f"{races} races each        this rule        plain paired t, every block"]
    lines.append("cells  spread     time     kept     time     kept")
    for cells, spread in FIELDS:
        ours, base = (simulate(make(rule), races, cells, spread) for make in (chosen, plain))
        columns = "   ".join(f"{each.time:6.1%}  {each.kept:6.1%}" for each in (ours, base))
        lines.append(f"{cells:5d}  {spread:5.0%}   {columns}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
