"""The closed loop: one request after another. Two clock reads and two appends per request, nothing else inside.

Stamps are collected in chunks of Python ints and packed to int64 between chunks, so that recording a million
requests costs 16 MB and does not show in the model's peak memory.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple

import numpy as np

from harness.evidence.folder import LATENCY, START
from harness.scenarios.base import Bench
from harness.spec.arrays import Integers
from harness.spec.wire import WarmUpRule, Window
from harness.stats.stopping import MEDIAN_PRECISION, P99_PRECISION, agree, precise_enough

Clock = Callable[[], int]
Infer = Callable[[Any], Any]
_CHUNK = 16_384
_FIRST_CHUNK = 64
_FIRST_LOOK = 3
_FEWEST = 5


def timed(infer: Infer, feeds: Iterator[Any], count: int, clock: Clock) -> Integers:
    """Time `count` calls of `infer`, one after another; returns [calls, 2]: begin and end (ns)."""
    stamps: list[int] = []
    append = stamps.append
    for feed in islice(feeds, count):
        begin = clock()
        infer(feed)
        end = clock()
        append(begin)
        append(end)
    return np.array(stamps, dtype=np.int64).reshape(-1, 2)


def durations(stamps: Integers) -> Integers:
    """Return end less begin of each call (ns)."""
    return stamps[:, 1] - stamps[:, 0]


class WarmUp(NamedTuple):
    """How warm-up went: whether it became steady, after how many inferences, and the last median (ns)."""

    steady: bool
    samples: int
    median_ns: float


def warm_up(infer: Infer, feeds: Iterator[Any], clock: Clock, rule: WarmUpRule, most_seconds: float) -> WarmUp:
    """Run windows until two consecutive ones agree, or until the limit: the rule's or `most_seconds`, if less.

    A window is as many inferences as fill `rule.window_seconds`, within the rule's bounds; three
    inferences tell how many that are, and a window has at least five.
    """
    limit_ns = min(rule.max_seconds, most_seconds) * 1e9
    first = durations(timed(infer, feeds, _FIRST_LOOK, clock))
    typical = max(float(np.median(first)), 1.0)
    window = int(min(rule.most, max(_FEWEST, rule.window_seconds * 1e9 / typical)))
    spent, count = int(first.sum()), _FIRST_LOOK
    if spent >= limit_ns:
        return WarmUp(False, count, typical)
    previous: Integers | None = None
    while True:
        current = durations(timed(infer, feeds, window, clock))
        spent, count = spent + int(current.sum()), count + window
        steady = previous is not None and agree(previous, current)
        if steady or spent >= limit_ns or count >= rule.max_samples:
            return WarmUp(steady, count, float(np.median(current)))
        previous = current


class Measured(NamedTuple):
    """A measured window: [requests, 2] begin and end (ns), and why it ended."""

    stamps: Integers
    ended_by: Literal["precision", "time", "samples"]


class Length(NamedTuple):
    """How long a window may be: `seconds`, or up to `most_seconds` while it has fewer than `min_samples`."""

    seconds: float
    most_seconds: float
    min_samples: int
    max_samples: int

    def limit_ns(self, n: int) -> int:
        """Return how long a window with `n` samples may be (ns)."""
        return int(1e9 * (self.seconds if n >= self.min_samples else max(self.seconds, self.most_seconds)))


def measure(infer: Infer, feeds: Iterator[Any], clock: Clock, length: Length, median_ns: float) -> Measured:
    """Sample until p50 and p99 are precise enough, the time is spent, or `max_samples` are there."""
    chunks: list[Integers] = []
    n, spent, checked = 0, 0, 0
    per_sample = max(median_ns, 1.0)
    while n < length.max_samples and spent < length.limit_ns(n):
        room = int((length.limit_ns(n) - spent) / per_sample) + 1
        count = min(_CHUNK, max(_FIRST_CHUNK, n), room, length.max_samples - n)
        chunks.append(timed(infer, feeds, count, clock))
        n, spent = n + count, spent + int(durations(chunks[-1]).sum())
        per_sample = max(spent / n, 1.0)
        if n >= 2 * checked:
            checked = n
            if n >= length.min_samples and _precise(chunks):
                return Measured(np.concatenate(chunks), "precision")
    return Measured(np.concatenate(chunks), "samples" if n >= length.max_samples else "time")


def _precise(chunks: Sequence[Integers]) -> bool:
    ordered = np.sort(durations(np.concatenate(chunks)))
    return precise_enough(ordered, 0.50, MEDIAN_PRECISION) and precise_enough(ordered, 0.99, P99_PRECISION)


def run_window(bench: Bench, scenario: str, name: str, batch_size: int, length: Length) -> None:
    """Warm up, measure one window of requests of `batch_size` rows, and keep its evidence as `name`."""
    feeds = bench.feeds(batch_size)
    bench.mark(f"warm_up:{name}")
    warmed = warm_up(bench.infer, feeds, bench.clock, bench.job.warm_up, length.seconds)
    with bench.measuring(name):
        found = measure(bench.infer, feeds, bench.clock, length, warmed.median_ns)
    latency = durations(found.stamps)
    window = Window(
        name=name,
        scenario=scenario,
        samples=len(latency),
        batch_size=batch_size,
        elapsed_ns=int(latency.sum()),
        steady=warmed.steady,
        warm_up_samples=warmed.samples,
        ended_by=found.ended_by,
    )
    bench.keep(window, {START: found.stamps[:, 0], LATENCY: latency})
