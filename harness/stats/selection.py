"""Exact order statistics and the mean of very many integers in bounded memory.

Nothing here copies the whole array. A memory-mapped array is read chunk by chunk and its pages are handed
back on the way, so that 10^8 samples on disk cost a few megabytes. Needs numpy only.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

CHUNK = 1 << 18  # samples: 2 MiB, stays in a core's cache
RELEASE_EVERY = 32  # chunks: 64 MiB of mapped pages at most
BUCKET_BITS = 14

Integers = npt.NDArray[np.int64]


class Range(NamedTuple):
    """Integers in [first, first + 2^bits), with how many samples lie below them."""

    first: int
    bits: int
    below: int


def chunks(samples: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield consecutive slices, handing mapped pages back to the system on the way."""
    mapping = _mapping(samples)
    for number, start in enumerate(range(0, samples.size, CHUNK), 1):
        yield samples[start : start + CHUNK]
        if mapping is not None and number % RELEASE_EVERY == 0:
            mapping.madvise(mmap.MADV_DONTNEED)


def mean_of(samples: npt.NDArray[Any]) -> float:
    """Give the arithmetic mean, in the samples' unit; exact sums per chunk for integers."""
    total = sum(part.sum().item() for part in chunks(samples))
    return float(total / samples.size)


def at_ranks(samples: Integers, ranks: Sequence[int]) -> dict[int, int]:
    """Give the sample at each 0-based rank of the sorted order, without sorting or copying the samples.

    A histogram refined by powers of two (radix selection): each pass over the data counts 2^14 buckets of
    every range that still holds a wanted rank; integers run out of bits after at most five passes.
    """
    low, high = _extent(samples)
    whole = Range(low, (high - low).bit_length(), 0)
    ranges = {rank: whole for rank in ranks}
    while any(each.bits > 0 for each in ranges.values()):
        active = sorted({each for each in ranges.values() if each.bits > 0})
        counts = _histograms(samples, active)
        ranges = {
            rank: _narrowed(each, counts[each], rank) if each in counts else each for rank, each in ranges.items()
        }
    return {rank: each.first for rank, each in ranges.items()}


def _extent(samples: Integers) -> tuple[int, int]:
    ends = [(int(part.min()), int(part.max())) for part in chunks(samples)]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _histograms(samples: Integers, ranges: Sequence[Range]) -> dict[Range, Integers]:
    counts = {each: np.zeros(1 << min(each.bits, BUCKET_BITS), dtype=np.int64) for each in ranges}
    for part in chunks(samples):
        keys = np.asarray(part, dtype=np.int64).view(np.uint64)
        for each, count in counts.items():
            count += _histogram(keys, each, count.size)
    return counts


def _histogram(keys: npt.NDArray[np.uint64], within: Range, buckets: int) -> npt.NDArray[np.intp]:
    offsets = keys - np.uint64(within.first % (1 << 64))  # wraps, so that one comparison tests both ends
    offsets = offsets[offsets <= np.uint64((1 << within.bits) - 1)]
    offsets >>= np.uint64(_shift(within))
    return np.bincount(offsets.view(np.int64), minlength=buckets)


def _narrowed(within: Range, counts: Integers, rank: int) -> Range:
    ends = np.cumsum(counts)
    bucket = int(np.searchsorted(ends, rank - within.below, side="right"))
    below = within.below + int(ends[bucket] - counts[bucket])
    return Range(within.first + (bucket << _shift(within)), _shift(within), below)


def _shift(within: Range) -> int:
    return max(0, within.bits - BUCKET_BITS)


def _mapping(samples: npt.NDArray[Any]) -> mmap.mmap | None:
    """Find the mapping under an array, if dropping its pages cannot lose a change (shared, not private)."""
    link: object = samples
    shared = False
    while isinstance(link, np.ndarray):
        shared = shared or (isinstance(link, np.memmap) and link.mode in ("r", "r+"))
        link = link.base
    return link if shared and isinstance(link, mmap.mmap) else None
