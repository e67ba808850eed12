"""Where an instance and its platform meet: it becomes ready, and is sent one request after another."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TypeVar

from harness.launch.job import TICK_S

T = TypeVar("T")
Tick = Callable[[], None]


class Answer(NamedTuple):
    """One request's answer: when it was sent and when its answer was there (CLOCK_MONOTONIC, ns), and the body."""

    begin_ns: int
    end_ns: int
    body: bytes


class Late(Exception):
    """The deadline passed before what was waited for."""


class Exited(Exception):
    """The process of the instance ended before what was waited for."""


class Raised(Exception):
    """The instance reports an error: of which type, what it says, and whether that was in INIT."""

    def __init__(self, kind: str, text: str, in_init: bool) -> None:
        self.kind, self.text, self.in_init = kind, text, in_init
        super().__init__(f"{kind}: {text}")


class Unspeakable(Exception):
    """The instance does not speak the platform's protocol; the message says how."""


class Door(Protocol):
    """The platform's end. One process at a time is behind it.

    `handler` is what `harness.worker.boot` is told, `most_bytes` how large a request may be. `repeats_init`: an INIT
    that takes too long is ended, and repeated within the first request.
    """

    handler: str
    most_bytes: int
    repeats_init: bool

    def environment(self) -> Mapping[str, str]:
        """Return what the instance must find in its environment."""

    def opened(self, pidfd: int) -> None:
        """Expect a process, by its pidfd; what an earlier one left is forgotten."""

    def ready(self, deadline: float, tick: Tick) -> int:
        """Wait until the instance can be sent a request; returns when that was (CLOCK_MONOTONIC, ns).

        `deadline` is by `time.monotonic`. Raises Late, Exited, Raised or Unspeakable.
        """

    def ask(self, event: bytes, deadline: float, tick: Tick) -> Answer:
        """Send one request and wait for its answer; errors as of `ready`."""

    def close(self) -> None:
        """Let everything go."""


class Watch:
    """Waits for descriptors, a deadline and the end of a process, all at once and without spinning."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self._ends: list[socket.socket] = []
        self._pidfd = -1

    def add(self, end: socket.socket, data: object = None) -> None:
        """Watch a socket too, until all is closed; `data` is in the keys that are served."""
        self._ends.append(end)
        self.selector.register(end, selectors.EVENT_READ, data)

    def drop(self, end: socket.socket) -> None:
        """Watch a socket no more."""
        self._ends.remove(end)
        self.selector.unregister(end)
        end.close()

    def opened(self, pidfd: int) -> None:
        """Watch for the end of this process from now on."""
        self._pidfd = os.dup(pidfd)
        self.selector.register(self._pidfd, selectors.EVENT_READ)

    def forget(self) -> None:
        """Watch no process any more."""
        if self._pidfd >= 0:
            self.selector.unregister(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def until(
        self, found: Callable[[], T | None], serve: Callable[[selectors.SelectorKey], None], deadline: float, tick: Tick
    ) -> T:
        """Serve what can be read until something is `found`, and return that; raises Late or Exited.

        What a process sent before it ended is served first.
        """
        while (result := found()) is None:
            left = deadline - time.monotonic()
            if left <= 0.0:
                raise Late
            keys = [key for key, _ in self.selector.select(min(left, TICK_S))]
            tick()
            others = [key for key in keys if key.fd != self._pidfd]
            for key in others:
                serve(key)
            if keys and not others:
                raise Exited
        return result

    def close(self) -> None:
        """Let everything go; closing again does nothing."""
        self.forget()
        for end in self._ends:
            end.close()
        self._ends.clear()
        self.selector.close()
