"""A fleet of instances that start on demand and go cold, request by request: a discrete-event simulation. Pure.

An instance takes up to `concurrency` requests and works on one at a time, in the order of their arrival. A request goes
to the idle instance that was used last, provisioned ones first; else to the busy one with room that is free first; else
to a new one, which starts cold. Instances on demand end when they have been idle for the keep-alive time. Their number
has no bound. Which instance a platform would choose is not published; the one used last lets the others go cold.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np

from harness.spec.arrays import Booleans, Floats, Indices


class Rules(NamedTuple):
    """How a fleet is run: seconds until an idle instance ends, requests per instance, instances that never end."""

    keep_alive_s: float
    concurrency: int = 1
    provisioned: int = 0


class Served(NamedTuple):
    """What became of each request [n], in the order of arrival, and what the instances did.

    `cold`: the request started an instance. `latency_s`: its wait for earlier requests of its instance and what it
    took itself. `instance`: its instance's number; provisioned ones are 0 … provisioned-1. `stretch` numbers the busy
    stretches of instances: from a request that finds its instance idle, or starts it, to when it is idle again.
    `alive_s`: how long instances on demand existed in all, until the last one ends.
    """

    cold: Booleans
    latency_s: Floats
    instance: Indices
    stretch: Indices
    alive_s: float

    @property
    def cold_rate(self) -> float:
        """The fraction of requests that started an instance."""
        return float(self.cold.mean())


class _Instances:
    """The instances at one moment: who is idle, who has room, and until when each one is busy."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        n = rules.provisioned
        self.free_at, self.requests, self.stretch, self._born = [0.0] * n, [0] * n, [0] * n, [0.0] * n
        self._kept, self._idle = list(range(n)), list[int]()
        self._done, self._room = list[tuple[float, int]](), list[tuple[float, int]]()
        self.alive_s, self.stretches = 0.0, 0

    def choose(self, now: float) -> tuple[int, bool]:
        """Return the instance for a request that arrives now, and whether it is new."""
        self._finish(now)
        if self._kept:
            return self._begun(self._kept.pop()), False
        idle = self._idle
        if idle and now - self.free_at[idle[-1]] <= self._rules.keep_alive_s:
            return self._begun(idle.pop()), False
        if idle:  # the one used last has ended, so all have
            self._end(idle)
            idle.clear()
        busy = self._with_room()
        return (busy, False) if busy is not None else (self._begun(self._new(now)), True)

    def take(self, number: int, until: float) -> None:
        """Give an instance one more request, with which it is busy until then."""
        self.free_at[number] = until
        self.requests[number] += 1
        heapq.heappush(self._done, (until, number))
        if self.requests[number] < self._rules.concurrency:
            heapq.heappush(self._room, (until, number))

    def end_all(self) -> None:
        """Let all instances on demand end."""
        self._end(range(self._rules.provisioned, len(self.free_at)))

    def _finish(self, now: float) -> None:
        """Take away the requests that are done by now."""
        done, requests, concurrency = self._done, self.requests, self._rules.concurrency
        while done and done[0][0] <= now:
            number = heapq.heappop(done)[1]
            requests[number] -= 1
            if not requests[number]:
                (self._kept if number < self._rules.provisioned else self._idle).append(number)
            elif requests[number] == concurrency - 1:
                heapq.heappush(self._room, (self.free_at[number], number))

    def _with_room(self) -> int | None:
        """Return the busy instance with room that is free first; entries that no longer hold are dropped."""
        room = self._room
        while room:
            until, number = room[0]
            if until == self.free_at[number] and 0 < self.requests[number] < self._rules.concurrency:
                heapq.heappop(room)
                return number
            heapq.heappop(room)
        return None

    def _begun(self, number: int) -> int:
        self.stretch[number], self.stretches = self.stretches, self.stretches + 1
        return number

    def _new(self, now: float) -> int:
        self.free_at.append(now)
        self.requests.append(0)
        self.stretch.append(0)
        self._born.append(now)
        return len(self.free_at) - 1

    def _end(self, numbers: list[int] | range) -> None:
        """Count the life of instances that end, each once."""
        for number in numbers:
            self.alive_s += self.free_at[number] + self._rules.keep_alive_s - self._born[number]
            self._born[number] = self.free_at[number] + self._rules.keep_alive_s


def serve(arrivals_s: Floats, warm_s: Floats, cold_s: Floats, rules: Rules) -> Served:
    """Serve requests that arrive at sorted times (s) by a fleet that begins with its provisioned instances only.

    `warm_s` [n] are what each request takes if its instance is warm, `cold_s` [n] what the first, second, … takes that
    starts one. Raises ValueError where the arrays differ in length, or there is no request.
    """
    if not len(arrivals_s) == len(warm_s) == len(cold_s) > 0:
        raise ValueError(f"one time each per request: {len(arrivals_s)}, {len(warm_s)}, {len(cold_s)}")
    fleet, rows, starts = _Instances(rules), list[tuple[bool, float, int, int]](), iter(cold_s.tolist())
    for now, warm in zip(arrivals_s.tolist(), warm_s.tolist(), strict=True):
        number, new = fleet.choose(now)
        until = max(now, fleet.free_at[number]) + (next(starts) if new else warm)
        fleet.take(number, until)
        rows.append((new, until - now, number, fleet.stretch[number]))
    fleet.end_all()
    cold_starts, latency, instance, stretch = zip(*rows, strict=True)
    return Served(
        np.array(cold_starts, dtype=np.bool_),
        np.array(latency, dtype=np.float64),
        np.array(instance, dtype=np.intp),
        np.array(stretch, dtype=np.intp),
        fleet.alive_s,
    )
