"""What a check is given and what it finds; how many of n may miss before it is more than luck."""

import gc
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import special

from harness.launch.base import Launcher
from harness.pipeline.progress import Observer

LUCK = 0.01
"""How often an honest instrument may fail a counted test: the binomial slack is one-sided at 99 %."""

_COLLECT = 10


class Finding(NamedTuple):
    """One row of the proof: what was tested, the truth, what was found (with n), what is wanted.

    `available`: it could be tested on this machine; else `found` says why not, and it counts as passed.
    """

    test: str
    truth: str
    found: str
    wanted: str
    passed: bool
    available: bool = True


class Setting(NamedTuple):
    """What a check works with: where it may write, the seed, its size, and who is told how far it is.

    `launcher` starts real processes; it holds the machine's lock.
    """

    root: Path
    seed: int
    quick: bool
    launcher: Launcher
    observer: Observer

    def size(self, quick: int, full: int) -> int:
        """Choose by how thorough the selftest is."""
        return quick if self.quick else full

    def seeds(self, stream: int, count: int, jobs: bool = False) -> Iterator[int]:
        """Yield `count` seeds of a stream of its own, and tell the observer how many are done.

        With `jobs`, jobs are done in this process for each: they freeze the garbage of those before, 3.5 MiB a run.
        """
        for done, seed in enumerate(np.random.SeedSequence([self.seed, stream]).generate_state(count)):
            self.observer.tick(f"{done} of {count}")
            if jobs and done % _COLLECT == 0:
                gc.collect()
            yield int(seed)
        self.observer.tick(f"{count} of {count}")

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
