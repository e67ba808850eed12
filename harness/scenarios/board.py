"""What the serving threads or processes of an open loop share: when requests are due, and what became of them."""

import mmap
import os
from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from harness.evidence.folder import BATCH, DUE, FREE, SERVER, START
from harness.spec.arrays import Array, Integers

DONE = "done"
COLUMNS = (DUE, FREE, START, DONE, SERVER, BATCH)
"""Columns of a board, int64, one number a request. A request was served if `done` is not 0."""
_COUNT, _END = 0, 1
_NUMBER_BYTES = 8


class Board:
    """Room for the requests of one window after another, in memory that a process shares with its forks.

    `capacity` is the most requests that a window may have. `between_processes`: servers are processes, not threads.
    """

    def __init__(self, capacity: int, between_processes: bool = False) -> None:
        self.capacity = capacity
        self._between = between_processes
        self._memory = mmap.mmap(-1, (2 + len(COLUMNS) * capacity) * 8)
        whole = np.frombuffer(self._memory, dtype=np.int64)
        self._head = whole[:2]
        self._columns = dict(zip(COLUMNS, whole[2:].reshape(len(COLUMNS), capacity), strict=True))
        self.turnstile = Turnstile()
        self._numbers: Iterator[int] = iter(())

    def begin(self, due: Integers, end_ns: int) -> None:
        """Begin a window: requests are due at these times (ns, ascending), and none is taken after `end_ns`."""
        count = len(due)
        for column in self._columns.values():
            column[:count] = 0
        self._columns[DUE][:count] = due
        self._head[_COUNT], self._head[_END] = count, end_ns
        self._numbers = iter(range(count))
        self.turnstile.reset()

    @property
    def count(self) -> int:
        """How many requests the window has."""
        return int(self._head[_COUNT])

    @property
    def end(self) -> memoryview:
        """Where to read when the last request is taken at the latest (ns): `end[0]`, which `stop` sets to 0."""
        return self._head[_END:].data

    def stop(self) -> None:
        """Let no server take a further request."""
        self._head[_END] = 0

    def view(self, column: str) -> memoryview:
        """Return a column as what is written fastest to, one number at a time."""
        return self._columns[column][: self.count].data

    def numbers(self) -> Iterator[int]:
        """Return the numbers of requests, each of which one server gets; threads of a process share one iterator."""
        return self.turnstile.numbers(self.count) if self._between else self._numbers

    def served(self) -> dict[str, Array]:
        """Return the columns of the requests that were served, in the order they were due."""
        columns = {name: column[: self.count] for name, column in self._columns.items()}
        kept = columns[DONE] > 0
        return {name: column[kept] for name, column in columns.items()}


class Turnstile:
    """Numbers requests among threads and processes: whoever has the next number holds up all others until it gives
    back the one after it. A pipe holds that number, so that no lock outlives a process that dies waiting.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)

    def reset(self) -> None:
        """Begin again at 0."""
        os.set_blocking(self._read, False)
        with suppress(BlockingIOError):
            os.read(self._read, _NUMBER_BYTES)
        os.set_blocking(self._read, True)
        self.give(0)

    def take(self) -> int:
        """Wait for the next number."""
        return int.from_bytes(os.read(self._read, _NUMBER_BYTES), "little")

    def give(self, number: int) -> None:
        """Let the next one go on, with this number."""
        os.write(self._write, number.to_bytes(_NUMBER_BYTES, "little"))

    def numbers(self, count: int) -> Iterator[int]:
        """Yield the numbers below `count` that this server gets."""
        while True:
            number = self.take()
            self.give(min(number + 1, count))
            if number >= count:
                return
            yield number
