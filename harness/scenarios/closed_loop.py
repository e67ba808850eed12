"""The closed loop: one request after another. Two clock reads and two appends per request, nothing else inside.

A window is a number of turns. Between them other processes may run; what they leave in the caches is worked off by a
few requests that do not count. A CPU quota begins a turn unused, so that a turn under one begins with a whole period
that does not count. Stamps are collected as Python ints and packed to int64 between turns, so that recording
a million requests costs 24 MB and does not show in the model's peak memory.
"""

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from harness.evidence.folder import DEVICE, LATENCY, ROUND, START
from harness.scenarios.base import Bench
from harness.spec.arrays import Array, Integers
from harness.spec.outcome import Window
from harness.spec.wire import SLOW_S, Trial, WarmUpRule
from harness.stats.stopping import agree

Clock = Callable[[], int]
Infer = Callable[[Any], Any]
_FIRST_LOOK = 3
_FEWEST = 5
_FEW_TOLERANCE = 0.1
_LOOK_FRACTION, _WINDOW_FRACTION, _AGAIN = 0.25, 0.125, 0.3
_OVERRUN = 3.0
_SETTLED_NS, _FEWEST_SETTLING = 500_000, 3
_LEAST_PERIODS = 2
"""A window under a CPU quota holds this many of its periods at least: fewer would not show that it is held back."""
_CHUNKS = 16


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
    """How warm-up went: whether it became steady, how many inferences and ns it took, the last median and mean (ns)."""

    steady: bool
    samples: int
    spent_ns: int
    median_ns: float
    mean_ns: float = 0.0


def warm_up(
    infer: Infer, feeds: Iterator[Any], clock: Clock, rule: WarmUpRule, seconds: float, again: bool = False
) -> WarmUp:
    """Run windows of requests until two consecutive ones agree, or until the rule's limit.

    `seconds` is what the measured window is meant to last. Up to three requests tell the scale; a slow model, of which
    five do not fit into an eighth of the limit, gets windows of fewer. `again`: an earlier window has warmed the
    process, and only what a batch size brings is new to it. The times of the rule are then shorter, and the first
    requests are enough where they take as long as both windows are to last.
    """
    if again:
        shorter = {"least_seconds": _AGAIN * rule.least_seconds, "limit_seconds": _AGAIN * rule.limit_seconds}
        rule = msgspec.structs.replace(rule, **shorter)
    limit_ns = 1e9 * max(rule.limit_fraction * seconds, rule.limit_seconds)
    together_ns = 1e9 * min(max(rule.fraction * seconds, rule.least_seconds), rule.most_seconds)
    previous = _first_look(infer, feeds, clock, _LOOK_FRACTION * limit_ns)
    spent, count = int(previous.sum()), len(previous)
    typical = max(float(np.median(previous)), 1.0)
    if again and spent >= together_ns:
        return WarmUp(True, count, spent, typical, spent / count)
    fewest = max(1, min(_FEWEST, int(_WINDOW_FRACTION * limit_ns / typical)))
    window = max(fewest, math.ceil(together_ns / 2 / typical))
    while True:
        current = durations(timed(infer, feeds, window, clock))
        spent, count = spent + int(current.sum()), count + window
        steady = len(previous) >= window and _agree(previous, current)
        if steady or spent >= limit_ns:
            return WarmUp(steady, count, spent, max(float(np.median(current)), 1.0), max(float(current.mean()), 1.0))
        if current.sum() < together_ns / 4:  # the first requests were slow ones: windows go by time, not by number
            window = max(fewest, math.ceil(together_ns / 2 / max(float(np.median(current)), 1.0)))
        previous = current


def _first_look(infer: Infer, feeds: Iterator[Any], clock: Clock, most_ns: float) -> Integers:
    """Run up to three requests, fewer when they take long; returns their durations (ns)."""
    look = durations(timed(infer, feeds, 1, clock))
    while len(look) < _FIRST_LOOK and look.sum() * (1 + 1 / len(look)) < most_ns:
        look = np.concatenate([look, durations(timed(infer, feeds, 1, clock))])
    return look


def _agree(previous: Integers, current: Integers) -> bool:
    """Whether two windows agree; of few requests only the medians are compared, with a wider tolerance."""
    if len(current) >= _FEWEST:
        return agree(previous, current)
    before, now = float(np.median(previous)), float(np.median(current))
    return abs(now - before) <= _FEW_TOLERANCE * before


class Length(NamedTuple):
    """How long a window is to be: seconds of requests, of which each turn takes `turn_s`, and at most `max_samples`."""

    seconds: float
    turn_s: float
    max_samples: int

    @property
    def turns(self) -> int:
        """How many turns that makes."""
        return max(1, round(self.seconds / self.turn_s))


def length_of(job: Trial, seconds: float, max_samples: int) -> Length:
    """Return the length of a job's window; where a CPU quota can throttle it, a whole turn at least."""
    settle_s = job.resources.settle_s
    turn_s = max(job.turn_s, _LEAST_PERIODS * settle_s)
    return Length(max(seconds, turn_s) if settle_s else seconds, turn_s, max_samples)


class Measured(NamedTuple):
    """A measured window: [requests, 2] begin and end (ns), the turn of each request, how many did not count.

    `device` is what each request took on the device (ns); None where that is not timed.
    """

    stamps: Integers
    rounds: Integers
    uncounted: int
    ended_by: Literal["turns", "time", "samples"]
    device: Integers | None = None

    @property
    def arrays(self) -> dict[str, Array]:
        """What is kept of the requests."""
        kept = {START: self.stamps[:, 0], LATENCY: durations(self.stamps), ROUND: self.rounds}
        return kept if self.device is None else kept | {DEVICE: self.device}


def measure(bench: Bench, feeds: Iterator[Any], length: Length, median_ns: float, calls: int = 1) -> Measured:
    """Sample in turns until there were enough of them, or `max_samples`; a model that became slow ends by time.

    A request is `calls` calls of the model, each of which has a feed.
    """
    infer, clock, turn_ns = _request(bench.infer, calls), bench.clock, 1e9 * length.seconds / length.turns
    settle_ns = 1e9 * bench.job.resources.settle_s
    parts, device = list[Integers](), list[Integers]()
    n, spent, uncounted, per_sample = 0, 0, 0, max(median_ns, 1.0)
    ended: Literal["turns", "time", "samples"] = "turns"
    for _ in range(length.turns):
        fewest = settling(per_sample) if bench.next_turn() else 0
        settled = _settled(infer, clock, feeds, fewest, settle_ns, per_sample)
        uncounted += len(settled)
        if settle_ns and not n:
            per_sample = float(settled.mean())  # the median of a process that is held back says little of its pace
        count = min(max(1, round(turn_ns / per_sample)), length.max_samples - n)
        with bench.counting():
            parts.append(timed(infer, feeds, count, clock))
        if bench.device_ns is not None:
            device.append(bench.device_ns(count * calls).reshape(count, calls).sum(axis=1))
        n, spent = n + count, spent + int(durations(parts[-1]).sum())
        per_sample = max(spent / n, 1.0)
        if n >= length.max_samples or spent > _OVERRUN * 1e9 * length.seconds:
            ended = "samples" if n >= length.max_samples else "time"
            break
    rounds = np.repeat(np.arange(len(parts), dtype=np.int64), [len(part) for part in parts])
    return Measured(np.concatenate(parts), rounds, uncounted, ended, np.concatenate(device) if device else None)


def _settled(
    infer: Infer, clock: Clock, feeds: Iterator[Any], fewest: int, settle_ns: float, per_sample_ns: float
) -> Integers:
    """Run what a turn begins with and does not count, `fewest` requests and a quota's period; returns durations."""
    begin, chunk = clock(), max(1, int(settle_ns / _CHUNKS / per_sample_ns))
    parts = [durations(timed(infer, feeds, fewest, clock))]
    while settle_ns and clock() - begin < settle_ns:
        parts.append(durations(timed(infer, feeds, chunk, clock)))
    return np.concatenate(parts)


def _request(infer: Infer, calls: int) -> Infer:
    """Return what one request calls: the model, or the model once for each feed of the request."""
    if calls == 1:
        return infer

    def several(feeds: Any) -> None:
        for feed in feeds:
            infer(feed)

    return several


def settling(per_sample_ns: float) -> int:
    """Return how many requests at the start of a turn do not count: half a millisecond of them, three at least.

    Measured: until then requests of 4 to 200 µs take 3 to 9 % longer, and so does the first one of a model of 10 ms. To
    leave out one that is slower still would cost more than that.
    """
    if per_sample_ns <= _SETTLED_NS:
        return max(_FEWEST_SETTLING, math.ceil(_SETTLED_NS / per_sample_ns))
    return 1 if per_sample_ns <= 1e9 * SLOW_S else 0


def run_window(bench: Bench, scenario: str, name: str, batch_size: int, length: Length, calls: int = 1) -> Integers:
    """Warm up, measure one window of requests of `batch_size` rows, and keep its evidence as `name`.

    A request is `calls` calls of so many rows each. Returns latencies (ns).
    """
    feeds = bench.feeds(batch_size)
    if calls > 1:
        feeds = zip(*[feeds] * calls, strict=True)
    with bench.warming(name) as again:
        infer = _request(bench.infer, calls)
        warmed = warm_up(infer, feeds, bench.clock, bench.job.warm_up, length.seconds, again)
    with bench.measuring(name):
        found = measure(bench, feeds, length, warmed.median_ns, calls)
    latency = durations(found.stamps)
    window = Window(
        name=name,
        scenario=scenario,
        samples=len(latency),
        batch_size=batch_size * calls,
        elapsed_ns=int(latency.sum()),
        steady=warmed.steady,
        warm_up_samples=warmed.samples,
        warm_up_ns=warmed.spent_ns,
        rounds=int(found.rounds[-1]) + 1,
        uncounted=found.uncounted,
        ended_by=found.ended_by,
        device_timed=found.device is not None,
    )
    bench.keep(window, found.arrays)
    return latency
