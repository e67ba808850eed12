"""Time for several threads, without a clock: it goes on when all of them wait, and one of them runs at a time."""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count


class Simulated:
    """`threads` threads take part; each is in `scope` while it does. Moments are ns."""

    def __init__(self, threads: int) -> None:
        self.now = 0
        self._active = threads
        self.changed = threading.Condition()
        self._waiting: list[tuple[int, int]] = []
        self._numbers = count()
        self._released: set[int] = set()

    @contextmanager
    def scope(self) -> Iterator[None]:
        try:
            yield
        finally:
            with self.changed:
                self._active -= 1
                self._advance()

    def clock(self) -> int:
        return self.now

    def wait(self, at: int) -> int:
        """Wait for a moment; returns the time."""
        with self.changed:
            number = next(self._numbers)
            heapq.heappush(self._waiting, (at, number))
            self._active -= 1
            self._advance()
            self.changed.wait_for(lambda: number in self._released, timeout=30)
            self._released.remove(number)
            return self.now

    def block(self, until: Callable[[], bool]) -> None:
        """Wait for another thread, which calls `unblock`; the caller holds `changed`."""
        self._active -= 1
        self._advance()
        self.changed.wait_for(until, timeout=30)

    def unblock(self) -> None:
        """Let a thread that waits for this one go on; the caller holds `changed`."""
        self._active += 1
        self.changed.notify_all()

    def _advance(self) -> None:
        if self._active == 0 and self._waiting:
            at, number = heapq.heappop(self._waiting)
            self.now = max(self.now, at)
            self._active = 1
            self._released.add(number)
            self.changed.notify_all()


class Gate:
    """A turnstile on simulated time."""

    def __init__(self, time: Simulated) -> None:
        self._time, self._number = time, 0
        self._queue: deque[object] = deque()
        self._given: dict[object, int] = {}
        self._free = True

    def reset(self) -> None:
        self._number, self._free = 0, True

    def take(self) -> int:
        with self._time.changed:
            if self._free:
                self._free = False
                return self._number
            ticket = object()
            self._queue.append(ticket)
            self._time.block(lambda: ticket in self._given)
            return self._given.pop(ticket)

    def give(self, number: int) -> None:
        with self._time.changed:
            if self._queue:
                self._given[self._queue.popleft()] = number
                self._time.unblock()
            else:
                self._number, self._free = number, True
