"""How fast and how safe is the race? Prints a table; run as `python -m tests.stats.race_simulation [RACES]`.

Synthetic cells on a drifting host: a slow sine of ±20 % plus a random walk, seen by every cell at its own
place in the shuffled block. The best cell is cell 0; the second is 5 % slower; the others lie between 5 % and
`slowest` times the best, evenly on a log scale. Every trial adds its own process effect.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.stats.racing import Rule, race

Floats = npt.NDArray[np.float64]
Step = Callable[[Floats, set[int]], tuple[set[int], bool]]

GAP = 1.05
BLOCKS = 60
FIELDS = tuple((cells, spread) for cells in (12, 40) for spread in (0.02, 0.05, 0.10))


class Outcome(NamedTuple):
    """Mean share of the exhaustive measuring time, and the share of races in which the true best survived."""

    time: float
    kept: float
    races: int


def utilities(
    rng: np.random.Generator,
    cells: int,
    spread: float,
    slowest: float = 3.0,
    gap: float = GAP,
    wild: int | None = None,
    blocks: int = BLOCKS,
) -> Floats:
    """Draw -log(metric) as values[block, cell]; cell `wild` has three times the spread of the others."""
    truth = np.zeros(cells)
    truth[1] = np.log(gap)
    truth[2:] = rng.uniform(np.log(gap), np.log(slowest), cells - 2)
    spreads = np.full(cells, spread)
    if wild is not None:
        spreads[wild] *= 3.0
    slots = np.arange(blocks * cells)
    host = 0.2 * np.sin(slots / cells / 9.0)
    host += np.cumsum(rng.standard_normal(slots.size)) * 0.03 / np.sqrt(cells)
    places = np.argsort(rng.random((blocks, cells)), axis=1)
    drift = np.take_along_axis(host.reshape(blocks, cells), places, axis=1)
    return -(truth + drift + spreads * rng.standard_normal((blocks, cells)))


def run(truth: Floats, step: Step) -> tuple[float, bool]:
    """Race through the blocks; give the share of trials that were run and whether cell 0 survived."""
    blocks, cells = truth.shape
    alive, seen, trials = set(range(cells)), np.full(truth.shape, np.nan), 0
    for block in range(blocks):
        running = sorted(alive)
        seen[block, running] = truth[block, running]
        trials += len(running)
        alive, settled = step(seen[: block + 1], alive)
        if settled:
            break
    return trials / truth.size, 0 in alive


def chosen(rule: Rule) -> Step:
    """Give the step of the rule under test."""

    def step(seen: Floats, alive: set[int]) -> tuple[set[int], bool]:
        decision = race(seen, alive, rule)
        return set(decision.alive), decision.settled

    return step


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
    """Run seeded races: race number s always meets the same field, whatever the rule."""
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
