"""Rank invariance: a candidate that is worse in everything reorders nobody, and moves nobody's score."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.analyse.reader import open_run
from harness.score.rank import rank
from harness.score.records import Entry, Ranking
from harness.selftest.field import MEDIAN_MS, Plan, Scripts, run
from harness.selftest.records import Finding, Setting
from harness.spec.policy import Limit, Objective, Policy
from harness.spec.suite import Dataset

POLICY = Policy(
    limits={"accuracy": Limit(min=0.2)},
    objectives={
        "latency_p50_ms": Objective(weight=2, target=MEDIAN_MS / 10, limit=MEDIAN_MS * 10),
        "latency_p99_ms": Objective(weight=1, target=MEDIAN_MS / 10, limit=MEDIAN_MS * 10),
        "accuracy": Objective(weight=2, target=1.0, limit=0.2),
    },
)
PLAN = Plan(blocks=5, samples=400, policy=POLICY, race="off", dataset=Dataset(path="rows.npz"))
DOMINATED = "dominated"
_ROWS = 500
_STREAM = 5


def unmoved(setting: Setting) -> list[Finding]:
    """Rank real evidence with and without a dominated candidate, for several fields."""
    fields, kept = setting.size(4, 40), 0
    for seed in setting.seeds(_STREAM, fields, jobs=True):
        with setting.folder() as base:
            kept += _keeps(_measured(base, seed), seed)
    truth = "one of five candidates is worse in everything"
    found = f"order and scores of the others the same without it in {kept} of {fields} fields"
    return [Finding("rank invariance", truth, found, f"the same in all {fields}", kept == fields)]


def field(rng: np.random.Generator) -> Scripts:
    """Draw four candidates that trade speed against accuracy, near each other, and one that is worst in both."""
    accuracies = rng.uniform(0.90, 0.99, 4)
    paces = MEDIAN_MS * np.exp(6.0 * (accuracies - 0.95) + rng.normal(0.0, 0.05, 4))
    common = {"sigma": 0.1, "process_spread": 0.02, "drift_amplitude": 0.1}
    scripts = {
        f"candidate-{i}": {"latency_ms": float(pace), "accuracy": float(accuracy), "seed": i, **common}
        for i, (pace, accuracy) in enumerate(zip(paces, accuracies, strict=True))
    }
    worst = {"latency_ms": 2.0 * float(paces.max()), "accuracy": float(rng.uniform(0.5, 0.85)), "seed": 9, **common}
    return scripts | {DOMINATED: worst}


def _measured(base: Path, seed: int) -> list[Entry]:
    rows = np.arange(_ROWS) % 10
    np.savez(base / "rows.npz", x=rows[:, None].astype(np.float32), labels=rows)
    run(base, field(np.random.default_rng(seed)), PLAN, seed)
    return open_run(base / "run").entries(POLICY)


def _keeps(entries: Sequence[Entry], seed: int) -> bool:
    """Whether the others stand in the same order, with the same scores, whether the dominated one is there or not."""
    others = [entry for entry in entries if entry.candidate != DOMINATED]
    with_it, without = (rank(each, POLICY, suite="selftest", seed=seed) for each in (entries, others))
    return len(others) == 4 and order(with_it) == order(without)


def order(ranking: Ranking) -> list[tuple[str, float | None]]:
    """Give candidates and scores in order, the dominated one left out."""
    return [(row.candidate, row.score) for row in ranking.rows if row.candidate != DOMINATED]
