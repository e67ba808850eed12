"""Pooled percentiles over processes that differ: how often the interval covers the truth, and when it has two ends.

Simulated through `stats.pooled`, as a row's percentiles are.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from harness.selftest.records import Finding, Setting, at_least
from harness.spec.arrays import Floats
from harness.stats.pooled import pooled_quantile

SIGMA = 0.5
P = 0.99
TRIALS, REQUESTS = 4, 250
BOUNDED = 0.95
PROCESSES, STALLING, STALL_SHARE, STALL = 12, 3, 0.05, 8.0
STALL_SIGMA, STALL_REQUESTS = 0.1, 500
CLOSE = 0.05
_CLUSTERS, _STALLS = 10, 11  # random streams


class Case(NamedTuple):
    """A spread between processes, and what share of intervals is to cover the truth, and to have two ends."""

    spread: float
    covered: float
    bounded: float


CASES = (Case(0.05, 0.93, BOUNDED), Case(0.15, 0.93, 0.0), Case(0.30, 0.90, 0.0))


def coverage(setting: Setting) -> list[Finding]:
    """Cover p99 of few short trials of a lognormal sleeper."""
    times = setting.size(300, 2_000)
    return [_covers(setting, times, case, stream) for stream, case in enumerate(CASES)]


def _covers(setting: Setting, times: int, case: Case, stream: int) -> Finding:
    exact = math.exp(math.hypot(SIGMA, case.spread) * float(special.ndtri(P)))
    covered = bounded = 0
    for seed in setting.seeds(100 * _CLUSTERS + stream, times):
        found = pooled_quantile(sleepers(np.random.default_rng(seed), case.spread), P)
        covered += found.low <= exact <= found.high
        bounded += math.isfinite(found.high)
    least, ends = at_least(times, case.covered), at_least(times, case.bounded)
    truth = f"{TRIALS} processes × {REQUESTS} requests; they differ by {case.spread:.0%}"
    found_text = f"covered in {covered} ({covered / times:.1%}), two ends in {bounded} of {times}"
    wanted = f"covered in at least {least} ({case.covered:.0%})"
    wanted += f", two ends in {ends} ({case.bounded:.0%})" if case.bounded else ""
    return Finding("pooled p99 (simulated)", truth, found_text, wanted, covered >= least and bounded >= ends)


def sleepers(rng: np.random.Generator, spread: float) -> list[Floats]:
    """Draw the trials of a lognormal sleeper of median 1."""
    logs = spread * rng.standard_normal((TRIALS, 1)) + SIGMA * rng.standard_normal((TRIALS, REQUESTS))
    return list(np.exp(logs))


def stalls(setting: Setting) -> list[Finding]:
    """Read p99 of processes of which some stall: users see the stalls, a mean over processes averages them away."""
    times, exact = setting.size(60, 400), stalled_truth()
    values, means, covered = np.empty(times), np.empty(times), 0
    for number, seed in enumerate(setting.seeds(_STALLS, times)):
        trials = stalling(np.random.default_rng(seed))
        found = pooled_quantile(trials, P)
        covered += found.low <= exact <= found.high
        values[number], means[number] = found.value, np.exp(np.mean([np.log(np.quantile(t, P)) for t in trials]))
    least, value = at_least(times, 0.95), float(np.median(values))
    truth = (
        f"{STALLING} of {PROCESSES} processes stall {STALL_SHARE:.0%} of calls ×{STALL:g}: p99 is {exact:.2f} × median"
    )
    text = f"{value:.2f}, covered in {covered} of {times}; mean over processes {np.median(means):.2f}"
    close = abs(value / exact - 1) <= CLOSE
    wanted = f"± {CLOSE:.0%}, covered in at least {least}"
    return [Finding("stalls, pooled p99 (simulated)", truth, text, wanted, close and covered >= least)]


def stalling(rng: np.random.Generator) -> list[Floats]:
    """Draw the trials of processes of which some stall, in random order."""
    trials = np.exp(STALL_SIGMA * rng.standard_normal((PROCESSES, STALL_REQUESTS)))
    which = rng.permutation(PROCESSES)[:STALLING]
    trials[which] *= np.where(rng.random((STALLING, STALL_REQUESTS)) < STALL_SHARE, STALL, 1.0)
    return list(trials)


def stalled_truth() -> float:
    """Give p99 of all requests of these processes, in medians of a call that does not stall."""
    share = STALLING / PROCESSES * STALL_SHARE
    fast, late = _lognormal(0.0), _lognormal(math.log(STALL))
    return math.exp(float(optimize.brentq(lambda log: (1 - share) * fast(log) + share * late(log) - P, -5.0, 5.0)))


def _lognormal(centre: float) -> Callable[[float], float]:
    return lambda log: float(special.ndtr((log - centre) / STALL_SIGMA))
