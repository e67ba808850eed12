"""The highest arrival rate that keeps a latency limit: which rate to try next, and what requests at a rate prove. Pure.

Bisection under noise. A rate is tried by windows of requests, and looked at after each: "holds" if it is certified that
the p-quantile of latency is at most the limit, "broken" if that it is above, each with an error of at most `ALPHA` over
all looks at the rate. The looks are planned: each at 1.5 times the requests of the one before.

Late requests come in clusters (a queue makes many late at once), so n of them are worth fewer independent ones: n over
the design effect (Kish 1965). It is simulated from the service times, at the rate where the limit is met, and for
"holds" also measured. One stall of the host breaks no rate: late requests must lie in three eighths of the window.
Needs numpy only: the child decides.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from harness.spec.arrays import Array, Booleans, Floats
from harness.stats.quantiles import binomial
from harness.stats.queueing import Load

Certificate: TypeAlias = Literal["holds", "broken", "undecided"]
ALPHA, LOOKS, GROWTH = 0.01, 4, 1.5
TOLERANCE = 0.05
"""The bracket is narrow enough when its ends differ by so much."""
PARTS, SPREAD = 8, 3
_STEP, _MOST, _FIRST = 0.8, 4, 0.9
_LONGEST_BATCH = 4_000
_BATCHES = 16


class Tried(NamedTuple):
    """A rate that was tried (1/s), and what its windows have shown."""

    rate: float
    verdict: Certificate


class Bracket(NamedTuple):
    """The highest rate certified to hold (0: none), the lowest one certified to break (infinite: none)."""

    low: float
    high: float


def bracket(tried: Sequence[Tried]) -> Bracket:
    """Return what the tries have certified.

    Where noise made a lower rate break than one that holds (each is false with probability `ALPHA`), neither is
    believed above the lowest broken one: the bracket is then that rate's own neighbourhood.
    """
    high = min((each.rate for each in tried if each.verdict == "broken"), default=math.inf)
    low = max((each.rate for each in tried if each.verdict == "holds" and each.rate < high), default=0.0)
    return Bracket(low, high)


def next_rate(tried: Sequence[Tried], expected: float, tolerance: float = TOLERANCE) -> float | None:
    """Return the rate to try next; None when the bracket is as narrow as it can be.

    `expected` is where the prediction puts the capacity: the first try is a little below it, the second as much above.
    Without an end on one side the steps away from what is known grow. Rates that stay undecided are near the capacity:
    what lies between them and the ends is bisected, the wider side first.
    """
    if not tried:
        return _FIRST * expected
    low, high = bracket(tried)
    near = [each.rate for each in tried if each.verdict == "undecided" and low < each.rate < high]
    bottom, top = min([*near, high]), max([*near, low])
    first = tried[0].rate
    if not low:
        return min(_FIRST * expected, bottom * _step([each for each in tried if each.rate <= first], "holds"))
    if math.isinf(high):
        return max(expected / _FIRST, top / _step([each for each in tried if each.rate >= first], "broken"))
    below, above = max([(low, bottom), (top, high)], key=lambda side: side[1] / side[0])
    return math.sqrt(below * above) if above > below * (1.0 + tolerance) else None


def _step(outward: Sequence[Tried], wanted: Certificate) -> float:
    """Return the factor of a step outward, away from the rates that are known; it squares with each that missed."""
    missed = sum(each.verdict != wanted for each in outward)
    return float(_STEP ** (2 ** min(missed - 1, _MOST)))


def first_look(p: float, design_effect: float) -> int:
    """Return how many requests the first look at a rate needs: enough to certify it with one late cluster."""
    needed = 1
    while binomial_at_most(1, needed, 1.0 - p) > ALPHA / LOOKS:
        needed *= 2
    low = needed // 2
    while needed - low > 1:
        middle = (low + needed) // 2
        low, needed = (middle, needed) if binomial_at_most(1, middle, 1.0 - p) > ALPHA / LOOKS else (low, middle)
    return math.ceil(needed * design_effect)


def look_sizes(p: float, design_effect: float) -> tuple[int, ...]:
    """Return how many requests there are at each look."""
    first = first_look(p, design_effect)
    return tuple(math.ceil(first * GROWTH**k) for k in range(LOOKS))


def judged(late: Booleans, p: float, design_effect: float) -> Certificate:
    """Judge a rate by its requests in their order, at one look: `late` says which of them were over the limit."""
    n, over = late.size, int(np.count_nonzero(late))
    effect = max(design_effect, measured_effect(late), 1.0)
    if binomial_at_most(math.ceil(over / effect), math.floor(n / effect), 1.0 - p) <= ALPHA / LOOKS:
        return "holds"
    effect = max(design_effect, 1.0)
    worth, clusters = math.ceil(n / effect), math.floor(over / effect)
    beyond = 1.0 - binomial_at_most(clusters - 1, worth, 1.0 - p) if clusters else 1.0
    spread = sum(bool(part.any()) for part in np.array_split(late, PARTS))
    return "broken" if beyond <= ALPHA / LOOKS and spread >= SPREAD else "undecided"


def binomial_at_most(k: int, n: int, p: float) -> float:
    """Return P(Binomial(n, p) <= k); 1 where n is below 1."""
    if n < 1 or k >= n:
        return 1.0
    first, weights = binomial(n, p)
    return float(weights[: max(0, k - first + 1)].sum())


def design_effect(loads: Sequence[Load], rate: float, limit: float, servers: int = 1) -> float:
    """Return how many late requests at this rate are worth one independent one: at least 1. Simulated, in batches."""
    found = [measured_effect(load.latencies(1.0 / rate, servers) > limit, _LONGEST_BATCH) for load in loads]
    return max(1.0, float(np.mean(found)))


def measured_effect(late: Booleans, longest: int | None = None) -> float:
    """Return the variance of batches' shares of late requests over that of independent requests; at least 1.

    There are 16 batches, more where they would be longer than `longest`. 1 where none or all are late.
    """
    count = max(_BATCHES, 0 if longest is None else late.size // longest)
    size, share = late.size // count, float(late.mean()) if late.size else 0.0
    if size < 1 or share in (0.0, 1.0):
        return 1.0
    shares: Floats = late[: size * count].reshape(count, size).mean(axis=1)
    return max(1.0, float(shares.var(ddof=1)) * size / (share * (1.0 - share)))


def middle(found: Bracket, expected: float) -> float:
    """Return the capacity's estimate: the middle of a bracket with two ends, else what is expected, within the one end.

    The middle of the logarithms.
    """
    if found.low and math.isfinite(found.high):
        return math.sqrt(found.low * found.high)
    return min(max(expected, found.low), found.high)


def late(latencies: Array, limit: float) -> Booleans:
    """Return which requests took longer than the limit."""
    return np.asarray(latencies > limit)
