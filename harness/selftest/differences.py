"""A/A and power: equal candidates are not told apart, and a difference of 5 % is, on a host that drifts."""

import math
from collections import Counter
from collections.abc import Iterator

from harness.score.records import Ranking
from harness.selftest.field import MEDIAN_MS, Plan, run
from harness.selftest.records import Finding, Setting, at_least, at_most

SPREAD, DRIFT, INSIDE = 0.02, 0.1, 0.05
EFFECT = 1.05
PLAN = Plan(blocks=8, samples=120)
FALSE, FOUND = 0.05, 0.90
_A_A, _POWER = 1, 2  # random streams


def same(setting: Setting) -> list[Finding]:
    """Count how often two equal candidates are declared different."""
    pairs = setting.size(30, 400)
    apart_by = Counter(map(told_apart, _rankings(setting, _A_A, pairs, 1.0)))
    apart, most = pairs - apart_by[""], at_most(pairs, FALSE)
    truth = f"equal; {SPREAD:.0%} between processes, ±{DRIFT:.0%} drift"
    found = f"{apart} of {pairs} pairs declared different ({apart / pairs:.1%}): "
    found += f"{apart_by['dropped']} by the race, {apart_by['ranked']} by rank"
    wanted = f"at most {FALSE:.0%}: {most} with 99 % binomial slack"
    return [Finding("A/A", truth, found, wanted, apart <= most)]


def slower(setting: Setting) -> list[Finding]:
    """Count how often a candidate that takes 5 % longer is found to."""
    pairs = setting.size(30, 400)
    right = sum(map(second_is_worse, _rankings(setting, _POWER, pairs, EFFECT)))
    truth = f"the second takes {EFFECT - 1:.0%} longer; the same noise"
    found = f"{right} of {pairs} pairs found so ({right / pairs:.1%})"
    least = at_least(pairs, FOUND) if setting.quick else math.ceil(FOUND * pairs)
    wanted = f"at least {FOUND:.0%}: {least}{' with 99 % binomial slack' if setting.quick else ''}"
    return [Finding("power", truth, found, wanted, right >= least)]


def _rankings(setting: Setting, stream: int, pairs: int, effect: float) -> Iterator[Ranking]:
    """Run pairs of which the second takes `effect` times as long; yield their rankings."""
    noise = {"sigma": INSIDE, "process_spread": SPREAD, "drift_amplitude": DRIFT}
    scripts = {
        "first": {"latency_ms": MEDIAN_MS, "seed": 1, **noise},
        "second": {"latency_ms": MEDIAN_MS * effect, "seed": 2, **noise},
    }
    for seed in setting.seeds(stream, pairs, jobs=True):
        with setting.folder() as base:
            yield run(base, scripts, PLAN, seed).ranking


def told_apart(ranking: Ranking) -> str:
    """Say how the rows were told apart ("dropped", "ranked"); empty if each may be the best."""
    if any(row.status == "dropped" for row in ranking.rows):
        return "dropped"
    return "" if all(row.may_be_best for row in ranking.rows) else "ranked"


def second_is_worse(ranking: Ranking) -> bool:
    """Whether "first" may be the best, and "second" was dropped or may not be."""
    rows = {row.candidate: row for row in ranking.rows}
    first, second = rows["first"], rows["second"]
    return first.may_be_best and (second.status == "dropped" or (second.place is not None and not second.may_be_best))
