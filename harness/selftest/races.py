"""The race keeps the best, and no limit is certified that does not hold: many simulated races and looks.

The fields: a host with a slow sine of ±20 % plus a random walk, seen by every cell at its own place in the
shuffled block. The best cell is cell 0; the second is `gap` slower; the others lie between that and `slowest`
times the best, evenly on a log scale. Every trial adds its own process effect.
"""

from collections.abc import Callable

import numpy as np

from harness.selftest.records import Finding, Setting, at_least, at_most
from harness.spec.arrays import Floats
from harness.stats.certify import certify_in_order, planned_looks
from harness.stats.racing import Rule, race

Step = Callable[[Floats, set[int]], tuple[set[int], bool]]

GAP = 1.05
SLOWEST = 10.0
BLOCKS = 60
CELLS, SPREAD = 12, 0.05
KEPT, FALSE = 0.99, 0.01
EQUAL, DATA, BLOCK, FALSE_DROPS = 6, 0.02, 0.02, 0.05
_RACES, _LIMITS, _DATA = 6, 7, 12  # random streams


def utilities(
    rng: np.random.Generator,
    cells: int,
    spread: float,
    slowest: float = SLOWEST,
    gap: float = GAP,
    wild: int | None = None,
    blocks: int = BLOCKS,
) -> Floats:
    """Draw -log(metric) as values[block, cell]; cell `wild` has three times the spread of the others."""
    truth = np.array([0.0, np.log(gap), *rng.uniform(np.log(gap), np.log(slowest), cells - 2)])
    spreads = np.full(cells, spread)
    if wild is not None:
        spreads[wild] *= 3.0
    slots = np.arange(blocks * cells)
    host = 0.2 * np.sin(slots / cells / 9.0)
    host += np.cumsum(rng.standard_normal(slots.size)) * 0.03 / np.sqrt(cells)
    places = np.argsort(rng.random((blocks, cells)), axis=1)
    drift = np.take_along_axis(host.reshape(blocks, cells), places, axis=1)
    noise: Floats = spreads * rng.standard_normal((blocks, cells))
    return -(truth + drift + noise)


def run(truth: Floats, step: Step) -> tuple[float, bool]:
    """Race through the blocks; give the fraction of trials that were run and whether cell 0 survived."""
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
    """Give the step of the rule that the harness races by."""

    def step(seen: Floats, alive: set[int]) -> tuple[set[int], bool]:
        decision = race(seen, alive, rule)
        return set(decision.alive), decision.settled

    return step


def best_kept(setting: Setting) -> list[Finding]:
    """Count the races that the true best survives, and what they cost."""
    races, step = setting.size(150, 500), chosen(Rule(blocks=BLOCKS))
    fields = (utilities(np.random.default_rng(seed), CELLS, SPREAD) for seed in setting.seeds(_RACES, races))
    fractions, survived = zip(*(run(field, step) for field in fields), strict=True)
    kept, least = sum(survived), at_least(races, KEPT)
    truth = f"best of {CELLS}, the second {GAP - 1:.0%} behind; {SPREAD:.0%} between processes"
    found = f"the best kept in {kept} of {races} races, in {np.mean(fractions):.0%} of the exhaustive time"
    wanted = f"at least {KEPT:.0%}: {least} with 99 % binomial slack"
    return [Finding("race", truth, found, wanted, kept >= least)]


def one_dataset(setting: Setting) -> list[Finding]:
    """Race equal cells that one dataset makes look different: no block tells more of it, and none is dropped."""
    races, dropped, trials = setting.size(150, 1_000), 0, 0
    for seed in setting.seeds(_DATA, races):
        rng = np.random.default_rng(seed)
        looks = DATA * rng.standard_normal(EQUAL) + BLOCK * rng.standard_normal((BLOCKS, EQUAL))
        ran, lost = rested(looks, np.where(np.eye(EQUAL), 0.0, 2 * DATA**2))
        trials, dropped = trials + ran, dropped + lost
    most, spent = at_most(races, FALSE_DROPS), trials / (races * BLOCKS * EQUAL)
    truth = f"{EQUAL} equal cells; the dataset's error is ±{DATA:g} of score, that of a block ±{BLOCK:g}"
    found = f"any dropped in {dropped} of {races} races ({dropped / races:.1%}), in {spent:.0%} of the exhaustive time"
    wanted = f"at most {FALSE_DROPS:.0%}: {most} with 99 % binomial slack; half of the time"
    return [Finding("race, one dataset", truth, found, wanted, dropped <= most and spent <= 0.5)]


def rested(values: Floats, fixed: Floats) -> tuple[int, bool]:
    """Race on one dataset; returns how many trials were run, and whether any cell was dropped."""
    alive, trials, rule = set(range(values.shape[1])), 0, Rule(blocks=BLOCKS, margin=0.01)
    seen = np.full(values.shape, np.nan)
    for block in range(BLOCKS):
        seen[block, sorted(alive)] = values[block, sorted(alive)]
        trials += len(alive)
        decision = race(seen[: block + 1], alive, rule, fixed)
        if decision.eliminated:
            return trials, True
        alive = set(decision.alive)
        if decision.settled:
            break
    return trials, False


def false_passes(setting: Setting) -> list[Finding]:
    """Count limits certified to be kept by samples of which just too many are over them."""
    times, passed = setting.size(400, 2_000), 0
    for seed in setting.seeds(_LIMITS, times):
        samples = np.random.default_rng(seed).random(planned_looks()[-1])
        passed += certify_in_order(samples, 0.99) == "holds"
    most = at_most(times, FALSE)
    truth = f"1 % of samples are over the limit; up to {len(planned_looks())} looks"
    found = f"{passed} of {times} certified as kept ({passed / times:.1%})"
    wanted = f"at most {FALSE:.0%}: {most} with 99 % binomial slack"
    return [Finding("certified limits", truth, found, wanted, passed <= most)]
