"""Rounds: the processes of several jobs stay alive and take turns, one running at a time, in a new order each round.

Between its turns a process is stopped (SIGSTOP). The threads of a runtime spin when they are idle, OpenMP's for more
than ten milliseconds: they would take a core from the next process. And a process that goes on finds its threads as
its last request left them, as in a closed loop.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, cast

from harness.launch.base import Launcher, OnPhase, SharingJob, Terms
from harness.launch.child import readable
from harness.launch.job import TICK_S
from harness.spec.outcome import Outcome
from harness.spec.wire import Job

_DONE = b"d"
Order = Callable[[int, int], Sequence[int]]
"""Returns the order of a round, given its number and how many jobs there are: a permutation of their numbers."""


class Start(NamedTuple):
    """A job to be started. It takes a turn in every `every`-th round."""

    launcher: Launcher
    folder: Path
    job: Job
    terms: Terms
    every: float = 1.0


class _Seat:
    """One job at the table, and the parent's ends of the pipes that its turns go by."""

    def __init__(self, start: Start) -> None:
        self.every = start.every
        their_read, self._give = os.pipe()
        self._back, their_write = os.pipe()
        try:
            started = start.launcher.start(
                start.folder, start.job, start.terms._replace(turns=(their_read, their_write))
            )
        except BaseException:
            self.close()
            raise
        finally:
            os.close(their_read)
            os.close(their_write)
        self.job = cast(SharingJob, started)
        self.done = self.ended = False

    def give(self) -> None:
        """Give the job its turn."""
        self.job.pause(False)
        with suppress(BrokenPipeError):  # it has ended, which `wait` sees
            os.write(self._give, b"t")

    def wait(self, on_phase: OnPhase) -> None:
        """Wait until the job gives its turn back, and stop it; or until it ends. One that takes too long is ended."""
        since = time.monotonic()
        while not readable(self._back, TICK_S):
            late = self.job.watch(on_phase, since)
            if late or self.job.ended():
                self.ended = True
                self.job.finish(late)
                return
        byte = os.read(self._back, 1)
        self.done = byte == _DONE
        if byte:
            self.job.pause(True)
        else:
            self.ended = True
            self.job.finish()

    def close(self) -> None:
        """Close the pipes."""
        os.close(self._give)
        os.close(self._back)


def take_turns(starts: Sequence[Start], order: Order, on_phase: OnPhase = lambda phase: None) -> list[Outcome]:
    """Start the jobs side by side, give them turns until none has anything left to measure, and return their outcomes.

    They load at the same time, before the first turn. When all are done they write their evidence, at the same time
    too. They are ended if waiting is interrupted.
    """
    with _table(starts) as seats:
        for seat in seats:
            seat.wait(on_phase)
        number = 0
        while any(not (seat.ended or seat.done) for seat in seats):
            for place in order(number, len(seats)):
                seat = seats[place]
                if not (seat.ended or seat.done) and has_turn(number, seat.every):
                    seat.give()
                    seat.wait(on_phase)
            number += 1
        for seat in seats:
            if not seat.ended:
                seat.give()
        return [seat.job.finish() if seat.ended else seat.job.wait(on_phase) for seat in seats]


def has_turn(number: int, every: float) -> bool:
    """Whether a job that takes a turn in every `every`-th round (1.6: in five of eight) takes one in this round."""
    return number == 0 or int(number / every) > int((number - 1) / every)


@contextmanager
def _table(starts: Sequence[Start]) -> Iterator[list[_Seat]]:
    """Start all jobs; whatever of them lives at the end is ended."""
    with ExitStack() as stack:
        seats = []
        for start in starts:
            seat = _Seat(start)
            stack.callback(seat.close)
            stack.callback(seat.job.end)
            seats.append(seat)
        yield seats
