"""Families: of equal cells none is told to be better than another, neither by the race nor by the ranking."""

from collections.abc import Sequence

import numpy as np

from harness.pipeline.race import fixed_of, rule_of, values_of
from harness.score.rank import rank
from harness.score.records import Entry, Ranking
from harness.selftest.records import Finding, Setting, at_most
from harness.selftest.simulated import Noise, by, entry_of, latencies
from harness.spec.arrays import Floats
from harness.spec.policy import Policy
from harness.stats.racing import race

CELLS = 15
BLOCKS = (3, 4, 5)
SPIKY = Noise(hit=0.1)
KEYS = ("latency_p50_ms", "latency_p99_ms")
FALSE = 0.05
FIRST_LOOK, MOST_BLOCKS = 3, 60
_FAMILY = 8  # random stream
_DRAWS = 100  # for P(best), which is not looked at here


def none_better(setting: Setting) -> list[Finding]:
    """Count the tables of equal cells with any false "better", for each percentile that ranks by itself."""
    tables = setting.size(45, 400)
    wrong = dict.fromkeys(KEYS, 0)
    for number, seed in enumerate(setting.seeds(_FAMILY, tables)):
        rng = np.random.default_rng(seed)
        cells = latencies(rng, SPIKY, CELLS, BLOCKS[number % len(BLOCKS)])
        for key in KEYS:
            wrong[key] += told_apart(cells, key)
    most = at_most(tables, FALSE)
    truth = f"{CELLS} equal cells, {BLOCKS[0]} to {BLOCKS[-1]} blocks; ×{SPIKY.spike:g} in {SPIKY.hit:.0%} of slices"
    wanted = f"at most {FALSE:.0%}: {most} with 99 % binomial slack (simulated through race and ranking)"
    return [
        Finding(f"family, {key[8:11]}", truth, f'a false "better" in {n} of {tables} tables', wanted, n <= most)
        for key, n in wrong.items()
    ]


def told_apart(cells: Sequence[Sequence[Floats]], key: str) -> bool:
    """Whether the race drops one of the cells, or the ranking tells any two apart."""
    entries, policy = [entry_of(f"cell-{i:02}", trials, (key,)) for i, trials in enumerate(cells)], by(key)
    return drops(entries, policy, len(cells[0])) or apart(rank(entries, policy, suite="selftest", draws=_DRAWS))


def drops(entries: Sequence[Entry], policy: Policy, blocks: int) -> bool:
    """Whether the race drops any of the cells at one of its looks up to `blocks`."""
    values, fixed = values_of(entries, policy, blocks), fixed_of(entries, policy)
    rule, alive = rule_of(policy, "winner", MOST_BLOCKS, FIRST_LOOK), set(range(len(entries)))
    return any(race(values[:seen], alive, rule, fixed).eliminated for seen in rule.looks if seen <= blocks)


def apart(ranking: Ranking) -> bool:
    """Whether any row's rank set is smaller than the table."""
    rows = ranking.rows
    return any((row.rank_low, row.rank_high) != (1, len(rows)) for row in rows)
