"""False alarms and misses of nights: every row and metric of a suite against its baseline, and what is confirmed.

Values are drawn, the decision is the program's own: `score.changes`, `score.regress`. A night has rows × 4 metrics
(p50, p99, throughput, load time). Run-to-run noise is common to the rows of a run (sd `noise`) and each row's own (half
as much). Trials differ by `spread` (p50; p99 twice that, throughput as p50, load three times). What rows share within a
block cancels side by side.

    make night-simulation                         # about ten minutes
    python tests/stats/night_simulation.py --nights 20 --noise 0.03
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import NamedTuple

import numpy as np

from harness.analyse.measures import as_measure
from harness.score.changes import Stated, paired, unpaired
from harness.score.records import Entry
from harness.score.regress import judge
from harness.score.verdicts import Verdict
from harness.spec.metrics import lookup
from harness.stats.across import over_trials

SPREADS = {"latency_p50_ms": 1.0, "latency_p99_ms": 2.0, "throughput_per_s": 1.0, "load_ms": 3.0}
OWN = 0.5
BASELINE = ".baseline"


class World(NamedTuple):
    """A host and a suite: rows, base runs, trials in a run, blocks of the confirmation, noises (relative sd)."""

    rows: int = 32
    bases: int = 5
    trials: int = 6
    blocks: int = 12
    noise: float = 0.03
    spread: float = 0.02
    alpha: float = 0.01


class Night(NamedTuple):
    """What a night said: rows with a confirmed regression, rows measured again, verdicts of the first comparison."""

    told: frozenset[str]
    again: frozenset[str]
    first: tuple[Verdict, ...]


def entry(name: str, values: dict[str, np.ndarray]) -> Entry:
    """Make a row of its trials' values."""
    metrics = {
        key: as_measure(key, over_trials(each.tolist(), log=lookup(key).scale == "log")) for key, each in values.items()
    }
    candidate, _, target = name.partition("@")
    trials = {key: tuple(each.tolist()) for key, each in values.items()}
    return Entry(candidate=candidate, target=target, status="measured", metrics=metrics, trials=trials)


def a_run(world: World, rng: np.random.Generator, slower: dict[str, float]) -> dict[str, Entry]:
    """Draw a run: what it as a whole is off by, each row's own part, and its trials."""
    common, found = rng.normal(0.0, world.noise), {}
    for row in range(world.rows):
        name = f"m{row}@box"
        own = rng.normal(0.0, OWN * world.noise)
        found[name] = entry(name, _values(world, rng, world.trials, common + own, slower.get(name, 0.0)))
    return found


def side_by_side(world: World, rng: np.random.Generator, rows: list[str], slower: dict[str, float]) -> dict[str, Entry]:
    """Draw rows and their partners in one run: drift by block is common to all."""
    drift = rng.normal(0.0, world.noise, world.blocks)
    found = {}
    for name in rows:
        found[name] = entry(name, _values(world, rng, world.blocks, drift, slower.get(name, 0.0)))
        partner = f"{name}{BASELINE}"
        found[partner] = entry(partner, _values(world, rng, world.blocks, drift, 0.0))
    return found


def _values(world: World, rng: np.random.Generator, count: int, shift, slower: float) -> dict[str, np.ndarray]:
    found = {}
    for key, factor in SPREADS.items():
        sign = 1.0 if lookup(key).better == "lower" else -1.0
        found[key] = np.exp(sign * (shift + np.log1p(slower)) + rng.normal(0.0, factor * world.spread, count))
    return found


def a_night(world: World, rng: np.random.Generator, slower: dict[str, float]) -> Night:
    """Draw base runs and a new one, compare, measure suspects again, and judge those on the fresh run alone."""
    bases = [a_run(world, rng, {}) for _ in range(world.bases)]
    first = _judged(lambda key, rows: unpaired(bases, rows, key, Stated()), a_run(world, rng, slower), world.alpha)
    suspects = {(each.row, each.metric) for each in first if each.suspect}
    rows = sorted({row for row, _ in suspects})
    fresh = side_by_side(world, rng, rows, slower)
    changes = {}
    for key in SPREADS:
        pairs = {row: f"{row}{BASELINE}" for row, metric in suspects if metric == key}
        changes |= {(row, key): change for row, change in paired(fresh, pairs, key).items()}
    told = {each.row for each in judge(changes, {}, world.alpha) if each.verdict == "worse"}
    return Night(frozenset(told), frozenset(rows), tuple(first))


def _judged(changes_of, new: dict[str, Entry], alpha: float) -> list[Verdict]:
    found = {(row, key): change for key in SPREADS for row, change in changes_of(key, new).items()}
    return judge(found, {}, alpha)


def simulate(world: World, nights: int, seed: int) -> tuple[int, int, float, float]:
    """Return false alarms, slow rows that were caught, mean rows measured again, fraction of cells told unconfirmed.

    Half of the nights have nothing slower; in the other half one row is 5 % slower.
    """
    rng = np.random.default_rng(seed)
    alarms = caught = 0
    again, told = [], []
    for _ in range(nights):
        quiet = a_night(world, rng, {})
        alarms += bool(quiet.told)
        again.append(len(quiet.again))
        told.append(np.mean([each.verdict in ("worse", "better") for each in quiet.first]))
        slow = a_night(world, rng, {"m0@box": 0.05})
        caught += "m0@box" in slow.told
        alarms += bool(slow.told - {"m0@box"})
    return alarms, caught, float(np.mean(again)), float(np.mean(told))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=100)
    parser.add_argument("--noise", type=float, nargs="*", default=[0.02, 0.035, 0.05])
    parser.add_argument("--spread", type=float, nargs="*", default=[0.01, 0.02, 0.03])
    parser.add_argument("--blocks", type=int, nargs="*", default=[12])
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--bases", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print("noise  spread  blocks  false alarms  +5 % caught  rows again  told without confirming")
    for noise in asked.noise:
        for spread in asked.spread:
            for blocks in asked.blocks:
                begin = time.monotonic()
                world = World(asked.rows, asked.bases, noise=noise, spread=spread, blocks=blocks)
                alarms, caught, again, told = simulate(world, asked.nights, asked.seed)
                n = asked.nights
                print(
                    f"{noise:5.1%}  {spread:6.1%}  {blocks:6}  {alarms:5}/{2 * n:<6}  {caught:5}/{n:<5}  "
                    f"{again:6.1f}/{asked.rows}  {told:.2%}   ({time.monotonic() - begin:.0f} s)",
                    flush=True,
                )
    sys.exit(0)


if __name__ == "__main__":
    main()
