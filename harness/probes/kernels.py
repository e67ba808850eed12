"""How fast one core of this machine is: two kernels of fixed work, so that machines can be compared.

Their ratio between two machines is what a target's `cpu_scale` cites.
"""

import time
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_BYTES, _SIDE, _PRODUCTS, _RUNS = 16 << 20, 64, 1_000, 5


class CoreSpeed(NamedTuple):
    """Milliseconds of each kernel: the fastest of five runs, because interruptions only slow them."""

    integer_ms: float
    float_ms: float


def core_speed() -> CoreSpeed:
    """Time CRC-32 of 16 MiB, and 1,000 products of float32 matrices of 64 x 64, which no library spreads over cores."""
    data = bytes(_BYTES)
    left, right = (np.random.default_rng(seed).standard_normal((_SIDE, _SIDE), dtype=np.float32) for seed in (0, 1))
    out = np.empty_like(left)

    def products() -> None:
        for _ in range(_PRODUCTS):
            np.matmul(left, right, out=out)

    return CoreSpeed(_fastest_ms(lambda: zlib.crc32(data)), _fastest_ms(products))


def _fastest_ms(work: Callable[[], object]) -> float:
    def once() -> int:
        begin = time.perf_counter_ns()
        work()
        return time.perf_counter_ns() - begin

    return min(once() for _ in range(_RUNS)) / 1e6
