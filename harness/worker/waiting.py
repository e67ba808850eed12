"""Waiting for a moment: sleep most of the time, spin the rest, because sleeps end late by up to some hundred µs."""

import ctypes
import sys
import time
from collections.abc import Callable

from harness.runtimes.base import Session

SPIN_NS, SHARED_SPIN_NS = 1_000_000, 20_000
"""How long before its moment a thread spins. One of several spins shorter: it has the interpreter lock meanwhile.

Measured on a two-core virtual machine, 200 requests/s of 20 µs, 3 × 500 requests: to spin 50, 200 or 1,000 µs leaves a
lateness p99.9 of 370-560, 250-440 or 9-24 µs, and a p99 that is 4.6-5.7, 1.9-3.9 or 1.0-1.1 times the queue's.
"""
_PR_SET_TIMERSLACK, _SLACK_NS = 29, 1


def wait_of(session: Session, clock: Callable[[], int], threads: int) -> Callable[[int], int]:
    """Return what waits until the clock reads this at least (ns), and returns what it reads; for one of `threads`."""
    own: Callable[[int], int] | None = getattr(session, "wait", None)
    return own or waiter(clock, time.sleep, SPIN_NS if threads == 1 else SHARED_SPIN_NS)


def waiter(clock: Callable[[], int], sleep: Callable[[float], None], spin_ns: int) -> Callable[[int], int]:
    """Return what sleeps until `spin_ns` before a moment, and spins the rest."""

    def wait(at: int) -> int:
        left = at - clock() - spin_ns
        if left > 0:
            sleep(left / 1e9)
        now = clock()
        while now < at:
            now = clock()
        return now

    return wait


def precise_sleep() -> None:
    """Ask Linux to end this thread's sleeps in time: by default it may add 50 microseconds to each."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_TIMERSLACK, _SLACK_NS, 0, 0, 0)
