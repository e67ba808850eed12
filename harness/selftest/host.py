"""A host with two speeds: cells that take turns see the same moments, and their pooled percentiles are right.

Simulated: turns need a clock that all cells share, which fakes with a virtual clock do not have. The turns are the
plan's (`pipeline.plan.turn`), the statistics those of a run.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from harness.selftest.records import Finding, Setting, at_least
from harness.spec.arrays import Floats
from harness.stats.pooled import pooled_quantiles

SLOWER = 2.0
SHORTEST_S, LONGEST_S, BETWEEN_S = 0.1, 2.0, 3.0
"""A slow spell lasts this long, evenly distributed; the time to the next one is exponential with this mean."""
SIGMA, SPREAD = 0.1, 0.02
SERVICE_MS = (0.02, 5.0)
BLOCKS, ROUNDS, TURN_S, BETWEEN_BLOCKS_S = 5, 50, 0.025, 1.0
COVERED, BIAS = 0.93, 0.01
PS = (0.5, 0.99)
_HOST = 9  # random stream


class Host(NamedTuple):
    """When slow spells begin and end (s)."""

    begins: Floats
    ends: Floats

    def slow(self, at_s: float) -> bool:
        """Whether the host is slow at this moment."""
        spell = int(np.searchsorted(self.begins, at_s, side="right")) - 1
        return spell >= 0 and at_s < float(self.ends[spell])


def host(rng: np.random.Generator, seconds: float) -> Host:
    """Draw the spells of a host for at least this long, from some time after its start on."""
    count = math.ceil(2 * seconds / (BETWEEN_S + SHORTEST_S)) + 20
    lasts = rng.uniform(SHORTEST_S, LONGEST_S, count)
    begins = np.cumsum(rng.exponential(BETWEEN_S, count) + np.concatenate(([0.0], lasts[:-1])))
    begins -= rng.uniform(0.0, 5 * (BETWEEN_S + LONGEST_S))
    return Host(begins, begins + lasts)


def slow_share() -> float:
    """Give the fraction of requests that a closed loop sends while the host is slow: it sends fewer then."""
    lasts = (SHORTEST_S + LONGEST_S) / 2
    return lasts / SLOWER / (lasts / SLOWER + BETWEEN_S)


def truth(p: float) -> float:
    """Give the p-quantile of a cell alone on this host for ever, in units of its median on the fast host."""
    slow, spread = slow_share(), math.hypot(SIGMA, SPREAD)

    def beyond(log: float) -> float:
        fast, late = special.ndtr(log / spread), special.ndtr((log - math.log(SLOWER)) / spread)
        return float((1 - slow) * fast + slow * late) - p

    return math.exp(float(optimize.brentq(beyond, -5.0, 5.0)))


def block(rng: np.random.Generator, at: Host, start_s: float) -> tuple[list[Floats], float]:
    """Let the cells take turns from this moment on; returns their requests (in fast medians) and when they end."""
    now, found = start_s, [list[Floats]() for _ in SERVICE_MS]
    typical_s = [ms / 1e3 * math.exp(SPREAD * rng.standard_normal()) for ms in SERVICE_MS]
    for _ in range(ROUNDS):
        for cell in rng.permutation(len(SERVICE_MS)).tolist():
            took = turn(rng, typical_s[cell] * (SLOWER if at.slow(now) else 1.0))
            found[cell].append(took / (SERVICE_MS[cell] / 1e3))
            now += float(took.sum())
    return [np.concatenate(each) for each in found], now


def turn(rng: np.random.Generator, typical_s: float) -> Floats:
    """Draw the latencies (s) of a turn: requests one after another until its time is over; the last one is finished."""
    most = math.ceil(1.5 * TURN_S / typical_s) + 10
    took = typical_s * np.exp(SIGMA * rng.standard_normal(most))
    return np.asarray(took[: int(np.searchsorted(np.cumsum(took), TURN_S)) + 1])


def table(rng: np.random.Generator) -> list[list[Floats]]:
    """Run all blocks; returns the requests of each cell by block."""
    now, found = 0.0, [list[Floats]() for _ in SERVICE_MS]
    at = host(rng, BLOCKS * (2 * ROUNDS * TURN_S * SLOWER + BETWEEN_BLOCKS_S))
    for _ in range(BLOCKS):
        requests, now = block(rng, at, now)
        now += BETWEEN_BLOCKS_S
        for cell, each in enumerate(requests):
            found[cell].append(each)
    return found


def two_speeds(setting: Setting) -> list[Finding]:
    """Cover pooled p50 and p99 of a fast and a slow model, and compare their errors."""
    tables, exact = setting.size(120, 1_000), {p: truth(p) for p in PS}
    covered = {(p, cell): 0 for p in PS for cell in range(len(SERVICE_MS))}
    errors = {p: np.zeros((tables, len(SERVICE_MS))) for p in PS}
    for number, seed in enumerate(setting.seeds(_HOST, tables)):
        for cell, trials in enumerate(table(np.random.default_rng(seed))):
            for p, found in pooled_quantiles(trials, PS).items():
                covered[p, cell] += found.low <= exact[p] <= found.high
                errors[p][number, cell] = math.log(found.value / exact[p])
    return [_finding(p, [covered[p, cell] for cell in range(len(SERVICE_MS))], errors[p]) for p in PS]


def _finding(p: float, covered: list[int], errors: Floats) -> Finding:
    tables, least = len(errors), at_least(len(errors), COVERED)
    gaps = errors[:, 0] - errors[:, 1]
    bias, luck = float(gaps.mean()), 2.58 * float(gaps.std(ddof=1)) / math.sqrt(tables)
    names = " and ".join(f"{ms:g} ms" for ms in SERVICE_MS)
    truth_is = f"×{SLOWER:g} for {SHORTEST_S:g} to {LONGEST_S:g} s; {names} take turns (simulated)"
    found = f"covered in {' and '.join(map(str, covered))} of {tables} tables; the two differ by {bias:+.1%}"
    wanted = f"at least {least} each ({COVERED:.0%} less binomial slack); {BIAS:.0%} + {luck:.1%} luck at most"
    return Finding(
        f"two-state host, p{100 * p:g}", truth_is, found, wanted, min(covered) >= least and abs(bias) <= BIAS + luck
    )
