"""Does the race decide as measuring everything does, and in which fraction of the time? On real models.

For each seed a suite runs twice: with its race, and exhaustively, both with the same most blocks and ample budget. Time
is that of the blocks; preparation is the same for both. Exits with 1 unless, for every seed, the race took at most a
fifth of the time and the same rows may be the best.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from runs import measured_s

from harness.analyse.reader import RunReader, open_run
from harness.evidence.files import write_json
from harness.pipeline.request import Request, open_new
from harness.pipeline.run import run
from harness.score.records import Ranking
from harness.stats.disturbed import disturbed

MOST = 0.2


class Measured(NamedTuple):
    """A finished run: wall seconds of its blocks and of its preparation, their number, trials, disturbed slices."""

    seconds: float
    prepared_s: float
    trials: int
    disturbed: float
    slices: int
    ranking: Ranking

    @property
    def best(self) -> list[str]:
        """The rows that may be the best."""
        return [f"{row.candidate}@{row.target}" for row in self.ranking.rows if row.may_be_best]

    @property
    def ended(self) -> str:
        """Why measuring ended."""
        return next((note.message for note in self.ranking.notes if note.code == "ended"), "")


def measured(args: argparse.Namespace, seed: int, exhaustive: bool, out: Path) -> Measured:
    """Measure the suite and rank it."""
    request = Request([args.suite], args.target, out, budget_s=args.budget, seed=seed, exhaustive=exhaustive)
    folder, record = open_new(request)
    budget = msgspec.structs.replace(record.suite.budget, max_trials=args.blocks)
    record = msgspec.structs.replace(record, suite=msgspec.structs.replace(record.suite, budget=budget))
    write_json(folder / "run.json", record)
    ranking = run(folder, record).ranking
    reader = open_run(folder)
    trials = sum(len(reader.trials(cell.name)) for cell in reader.cells)
    return Measured(measured_s(reader), reader.prepared.spent_s, trials, *noise(reader), ranking)


def noise(reader: RunReader) -> tuple[float, int]:
    """Return which fraction of all slices the host disturbed, each cell's judged together, and how many there are."""
    bad, count = 0, 0
    for cell in reader.cells:
        slices = [trial.slices() for trial in reader.trials(cell.name)]
        if slices:
            bad, count = bad + int(disturbed(np.concatenate(slices)).sum()), count + sum(map(len, slices))
    return bad / max(count, 1), count


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="digits")
    parser.add_argument("--target", action="append", help="repeatable; default: cpu-onnx and cpu-onnx-1t")
    parser.add_argument("--blocks", type=int, default=30, help="the most trials of a cell")
    parser.add_argument("--budget", type=float, default=1800.0, help="seconds of each run; ample by default")
    parser.add_argument("--seed", type=int, action="append", help="repeatable; default: 0")
    parser.add_argument("--out", type=Path, help="keep all runs here")
    args = parser.parse_args()
    args.target = args.target or ["cpu-onnx", "cpu-onnx-1t"]
    args.seed = args.seed or [0]
    return args


def report(seed: int, raced: Measured, everything: Measured) -> bool:
    """Print both runs; returns whether the race was as good, and short enough."""
    print(f"seed {seed}, load {os.getloadavg()[0]:.1f}")
    for name, each in (("race", raced), ("exhaustive", everything)):
        print(f"  {name:11}{each.seconds:7.1f} s in {each.trials:4} trials (preparation {each.prepared_s:.0f} s)")
        print(f"  {'':11}{each.disturbed:.0%} of {each.slices:,} slices disturbed")
        print(f"  {'':11}may be the best: {', '.join(each.best) or 'no row'}")
        print(f"  {'':11}{each.ended}")
    fraction, same = raced.seconds / everything.seconds, set(raced.best) == set(everything.best)
    among = raced.best[:1] != [] and raced.best[0] in everything.best
    print(f"  measuring time, race ÷ exhaustive: {fraction:.3f} (wanted: at most {MOST})")
    print(f"  same rows in the set that may be best: {'yes' if same else 'NO'}")
    print(f"  the race's first row is in the exhaustive set: {'yes' if among else 'NO'}", flush=True)
    return same and fraction <= MOST


def main() -> int:
    """Measure twice for each seed, and compare."""
    args = arguments()
    good = 0
    for number, seed in enumerate(args.seed):
        with tempfile.TemporaryDirectory() as temporary:
            order = (False, True) if number % 2 == 0 else (True, False)
            runs = {exhaustive: measured(args, seed, exhaustive, args.out or Path(temporary)) for exhaustive in order}
        good += report(seed, runs[False], runs[True])
    print(f"as good as measuring everything, in a fifth of the time: {good} of {len(args.seed)} seeds")
    return 0 if good == len(args.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
