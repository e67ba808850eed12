"""What a check is given and what it finds; how many of n may miss before it is more than luck."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import special

LUCK = 0.01
"""How often an honest instrument may fail a counted test: the binomial slack is one-sided at 99 %."""


class Finding(NamedTuple):
    """One row of the proof: what was tested, the truth, what was found (with n), what is wanted."""

    test: str
    truth: str
    found: str
    wanted: str
    passed: bool


class Setting(NamedTuple):
    """What a check works with: where it may write, the seed, its size, and whom to tell how far it is.

    `inherit` are descriptors that real child processes keep open: the machine's lock.
    """

    root: Path
    seed: int
    quick: bool
    step: Callable[[int, int], None] = lambda done, of: None
    inherit: tuple[int, ...] = ()

    def size(self, quick: int, full: int) -> int:
        """Choose by how thorough the selftest is."""
        return quick if self.quick else full

    def seeds(self, stream: int, count: int) -> Iterator[int]:
        """Yield `count` seeds of a stream of its own, and tell how far it has come."""
        for done, seed in enumerate(np.random.SeedSequence([self.seed, stream]).generate_state(count)):
            self.step(done, count)
            yield int(seed)
        self.step(count, count)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Give a folder that is gone afterwards."""
        with tempfile.TemporaryDirectory(dir=self.root) as name:
            yield Path(name)


def at_most(n: int, p: float) -> int:
    """Give the highest count of n that a chance of `p` each exceeds by luck in `LUCK` of cases at most."""
    return next(count for count in range(n + 1) if special.bdtrc(count, n, p) <= LUCK)


def at_least(n: int, p: float) -> int:
    """Give the lowest count of n that a chance of `p` each stays below by luck in `LUCK` of cases at most."""
    return n - at_most(n, 1.0 - p)
