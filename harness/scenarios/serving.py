"""Who serves an open loop: streams of calls, how they make batches, and the team of servers."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

from harness.scenarios.board import Board


class Stream(NamedTuple):
    """What one server calls: `infer` with feeds of so many rows, in the context `scope`.

    `infer` may be the same for all threads, or a connection of its own to a server in another process.
    """

    infer: Callable[[Any], Any]
    feeds: Callable[[int], Iterator[Any]]
    scope: Callable[[], AbstractContextManager[object]] = nullcontext


class Batching(NamedTuple):
    """How a server makes a batch: of up to `most` requests, for the oldest of which it waits up to `wait_ns`."""

    most: int = 1
    wait_ns: int = 0


class Team(Protocol):
    """The servers of a scenario: threads of this process, or processes. The calling thread is server 0."""

    board: Board

    def warm(self) -> None:
        """Warm up those that the caller's own warm-up does not."""

    def settle(self, count: int) -> None:
        """Run so many requests in each server, which do not count: others may have used the caches."""

    def serve(self, begin: Callable[[], None]) -> None:
        """Serve a window, which `begin` gives to the board once all servers stand ready; returns when they are done.

        Raises what a server raised.
        """
