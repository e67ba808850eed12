"""A/A and power: equal candidates are not told apart, and a difference of 5 % is, on a host that drifts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from harness.score.records import Ranking
from harness.selftest.field import MEDIAN_MS, Plan, run
from harness.selftest.records import Finding, Setting, at_most

SPREAD, DRIFT, INSIDE = 0.02, 0.1, 0.05
EFFECT = 1.05
PLAN = Plan(blocks=8, samples=120)
FALSE, FOUND = 0.05, 0.90
DROPPED, RANKED = "dropped", "ranked"
_A_A, _POWER = 1, 2  # random streams
Verdict = TypeVar("Verdict", str, bool)


def same(setting: Setting) -> list[Finding]:
    """Count how often two equal candidates are declared different."""
    pairs = setting.size(80, 400)
    ways = _count(setting, _A_A, pairs, 1.0, told_apart)
    apart, most = pairs - ways[""], at_most(pairs, FALSE)
    return [
        Finding(
            "A/A",
            f"equal; {SPREAD:.0%} between processes, ±{DRIFT:.0%} drift",
            f"{apart} of {pairs} pairs declared different ({apart / pairs:.1%}): "
            f"{ways[DROPPED]} by the race, {ways[RANKED]} by rank",
            f"at most {FALSE:.0%}: {most} with 99 % binomial slack",
            apart <= most,
        )
    ]


def slower(setting: Setting) -> list[Finding]:
    """Count how often a candidate that takes 5 % longer is found to."""
    pairs = setting.size(80, 400)
    found = _count(setting, _POWER, pairs, EFFECT, second_is_worse)[True]
    return [
        Finding(
            "power",
            f"the second takes {EFFECT - 1:.0%} longer; the same noise",
            f"{found} of {pairs} pairs found so ({found / pairs:.1%})",
            f"at least {FOUND:.0%}",
            found >= FOUND * pairs,
        )
    ]


def _count(
    setting: Setting, stream: int, pairs: int, effect: float, verdict: Callable[[Ranking], Verdict]
) -> Counter[Verdict]:
    """Run pairs of which the second takes `effect` times as long; count the verdicts on their rankings."""
    noise = {"sigma": INSIDE, "process_spread": SPREAD, "drift_amplitude": DRIFT}
    scripts = {
        "first": {"latency_ms": MEDIAN_MS, "seed": 1, **noise},
        "second": {"latency_ms": MEDIAN_MS * effect, "seed": 2, **noise},
    }
    count: Counter[Verdict] = Counter()
    for seed in setting.seeds(stream, pairs):
        with setting.folder() as base:
            count[verdict(run(base, scripts, PLAN, seed).ranking)] += 1
    return count


def told_apart(ranking: Ranking) -> str:
    """Say how the rows were told apart, that is, do not all share a rank; empty if they were not."""
    if all(row.status == "measured" for row in ranking.rows):
        return RANKED if len({row.rank for row in ranking.rows}) > 1 else ""
    return DROPPED


def second_is_worse(ranking: Ranking) -> bool:
    """Whether "first" is ranked and "second" was dropped, or ranked below it."""
    rows = {row.candidate: row for row in ranking.rows}
    first, second = rows["first"], rows["second"]
    if first.rank is None:
        return False
    return second.status == "dropped" or (second.rank is not None and second.rank > first.rank)
