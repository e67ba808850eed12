"""The hot loops. Two clock reads and one append per sample; nothing else happens inside.

Samples are gathered in chunks of Python ints and packed to int64 between chunks, so that recording a
million samples costs 8 MB and not 40, and does not show in the model's peak memory.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.runtimes.base import Feed, Infer
from harness.spec.wire import WarmUpRule
from harness.stats.steady import agree
from harness.stats.stopping import MEDIAN_PRECISION, P99_PRECISION, precise_enough

Clock = Callable[[], int]
Samples = NDArray[np.int64]
_CHUNK = 16_384
_FIRST_CHUNK = 64
_GLANCE = 3
_FEWEST = 5


def timed(infer: Infer, feeds: Iterator[Feed], count: int, clock: Clock) -> list[int]:
    """Time `count` calls of `infer`, one after another; returns nanoseconds."""
    samples: list[int] = []
    append = samples.append
    for feed in islice(feeds, count):
        begin = clock()
        infer(feed)
        append(clock() - begin)
    return samples


@contextmanager
def quiet_gc() -> Iterator[None]:
    """Keep the garbage collector out of the measured window."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


class WarmUp(NamedTuple):
    """How warm-up went: whether it became steady, after how many inferences, and the last median (ns)."""

    steady: bool
    samples: int
    median_ns: float


def warm_up(infer: Infer, feeds: Iterator[Feed], clock: Clock, rule: WarmUpRule, most_seconds: float) -> WarmUp:
    """Run windows until two in a row agree, or until the limit: the rule's, or `most_seconds` if that is less.

    A window is as many inferences as fill `rule.window_seconds`, within the rule's bounds; three
    inferences tell how many that are, and a window has at least five.
    """
    limit_ns = min(rule.max_seconds, most_seconds) * 1e9
    glance = timed(infer, feeds, _GLANCE, clock)
    typical = max(float(np.median(glance)), 1.0)
    window = int(min(rule.most, max(_FEWEST, rule.window_seconds * 1e9 / typical)))
    spent, count = sum(glance), _GLANCE
    if spent >= limit_ns:
        return WarmUp(False, count, typical)
    previous: list[int] | None = None
    while True:
        current = timed(infer, feeds, window, clock)
        spent, count = spent + sum(current), count + window
        steady = previous is not None and agree(np.asarray(previous), np.asarray(current))
        if steady or spent >= limit_ns or count >= rule.max_samples:
            return WarmUp(steady, count, float(np.median(current)))
        previous = current


class Window(NamedTuple):
    """A measured window: samples in ns, why it ended."""

    samples: Samples
    ended_by: Literal["precision", "time", "samples"]


class Length(NamedTuple):
    """How long a window may be: `seconds`, or up to `most_seconds` while it has fewer than `min_samples`."""

    seconds: float
    most_seconds: float
    min_samples: int
    max_samples: int


def measure(infer: Infer, feeds: Iterator[Feed], clock: Clock, length: Length, median_ns: float) -> Window:
    """Sample until p50 and p99 are precise enough, the time is spent, or `max_samples` are there."""
    chunks: list[Samples] = []
    n, spent, checked = 0, 0, 0
    per_sample = max(median_ns, 1.0)
    while n < length.max_samples and spent < _limit_ns(length, n):
        room = int((_limit_ns(length, n) - spent) / per_sample) + 1
        count = min(_CHUNK, max(_FIRST_CHUNK, n), room, length.max_samples - n)
        chunk = np.asarray(timed(infer, feeds, count, clock), dtype=np.int64)
        chunks.append(chunk)
        n, spent = n + count, spent + int(chunk.sum())
        per_sample = max(spent / n, 1.0)
        if n >= 2 * checked:
            checked = n
            if n >= length.min_samples and _precise(chunks):
                return Window(np.concatenate(chunks), "precision")
    return Window(np.concatenate(chunks), "samples" if n >= length.max_samples else "time")


def _limit_ns(length: Length, n: int) -> int:
    return int(1e9 * (length.seconds if n >= length.min_samples else max(length.seconds, length.most_seconds)))


def _precise(chunks: Sequence[Samples]) -> bool:
    ordered = np.sort(np.concatenate(chunks))
    return precise_enough(ordered, 0.50, MEDIAN_PRECISION) and precise_enough(ordered, 0.99, P99_PRECISION)


def rotate(feeds: Sequence[Feed]) -> Iterator[Feed]:
    """Return the pool's feeds over and over: one repeated buffer would measure the cache."""
    return cycle(feeds)
