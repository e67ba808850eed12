"""Does the race decide as measuring everything does, and in which fraction of the time? On real models, one seed.

Runs a suite twice: once with its race, once exhaustively, both with the same most blocks and ample budget.
Exits with 1 if the raced winner does not share rank 1 of the exhaustive run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.analyse.reader import open_run
from harness.evidence.files import write_json
from harness.pipeline.request import Request, open_new
from harness.pipeline.run import run
from harness.score.records import Ranking


class Run(NamedTuple):
    """A finished run: seconds its trials took (start-up included), their number, and the ranking."""

    seconds: float
    trials: int
    ranking: Ranking


def measured(args: argparse.Namespace, exhaustive: bool, out: Path) -> Run:
    """Measure the suite and rank it."""
    request = Request([args.suite], args.target, out, budget_s=args.budget, seed=args.seed, exhaustive=exhaustive)
    folder, record = open_new(request)
    budget = msgspec.structs.replace(record.suite.budget, max_trials=args.blocks)
    record = msgspec.structs.replace(record, suite=msgspec.structs.replace(record.suite, budget=budget))
    write_json(folder / "run.json", record)
    ranking = run(folder, record).ranking
    reader = open_run(folder)
    took = [reader.seconds_of(cell.name, trial.block) for cell in reader.cells for trial in reader.trials(cell.name)]
    return Run(sum(each for each in took if each is not None), len(took), ranking)


def first_rows(ranking: Ranking) -> list[str]:
    """Name the rows that share rank 1, best first."""
    return [f"{row.candidate}@{row.target}" for row in ranking.rows if row.rank == 1]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="digits")
    parser.add_argument("--target", action="append", help="repeatable; default: cpu-onnx and cpu-onnx-1t")
    parser.add_argument("--blocks", type=int, default=30, help="the most trials of a cell")
    parser.add_argument("--budget", type=float, default=1800.0, help="seconds of each run; ample by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep both runs here")
    args = parser.parse_args()
    args.target = args.target or ["cpu-onnx", "cpu-onnx-1t"]
    return args


def report(raced: Run, everything: Run) -> bool:
    """Print both runs; returns whether the raced winner is among the exhaustive run's first rows."""
    for name, each in (("with the race", raced), ("exhaustive", everything)):
        ended = next((note.message for note in each.ranking.notes if note.code == "ended"), "")
        print(f"{name:14} {each.seconds:7.1f} s in {each.trials:4} trials; {ended}")
        print(f"{'':14} rank 1: {', '.join(first_rows(each.ranking)) or 'no row'}")
    ours, theirs = first_rows(raced.ranking), first_rows(everything.ranking)
    agree = bool(ours) and ours[0] in theirs
    print(f"measuring time, race ÷ exhaustive: {raced.seconds / everything.seconds:.3f}")
    print(f"same rows on rank 1: {'yes' if set(ours) == set(theirs) else 'no'}")
    print(f"same best row: {'yes' if ours[:1] == theirs[:1] else 'no'}")
    print(f"raced winner on rank 1 of the exhaustive run: {'yes' if agree else 'NO'}")
    return agree


def main() -> int:
    """Measure twice and compare."""
    args = arguments()
    with tempfile.TemporaryDirectory() as temporary:
        out = args.out or Path(temporary)
        return 0 if report(measured(args, False, out), measured(args, True, out)) else 1


if __name__ == "__main__":
    sys.exit(main())
