"""The open loop: requests are due when users send them, whether or not earlier ones are done.

Servers pull: each takes the next request, waits until it is due, serves it, and writes down when. That is exactly a
queue with c servers, first come, first served; nothing dispatches, so nothing competes with the servers for the
interpreter lock or a core. A request that is due while all are busy is served late, and never left out: its latency is
done - due. Measured: a thread that dispatches beside busy ones is late by 3 to 8 ms.
"""

import threading
from collections.abc import Callable, Sequence

from harness.evidence.folder import BATCH, DUE, FREE, SERVER, START
from harness.scenarios.board import DONE, Board
from harness.scenarios.closed_loop import timed
from harness.scenarios.serving import Batching, Stream

Clock = Callable[[], int]
Wait = Callable[[int], int]
"""Waits until the clock reads this at least (ns), and returns what it reads."""


def serve(number: int, stream: Stream, board: Board, clock: Clock, wait: Wait, rows: int = 1) -> None:
    """Serve requests one at a time, as server `number`, until there are no more or the board's end has come.

    The first request is served in any case: a stall of the host may outlast a short window. Three clock reads and five
    stores a request; nothing else.
    """
    infer, feeds, end = stream.infer, stream.feeds(rows), board.end
    due, free, start, done, server = (board.view(column) for column in (DUE, FREE, START, DONE, SERVER))
    for i in board.numbers():
        feed = next(feeds)
        at = due[i]
        now = clock()
        if now > end[0] and i:
            return
        free[i] = now
        if now < at:
            now = wait(at)
        start[i] = now
        infer(feed)
        done[i] = clock()
        server[i] = number


def serve_batches(number: int, stream: Stream, board: Board, clock: Clock, wait: Wait, rule: Batching) -> None:
    """Serve requests in batches: a server that is free closes one when it is full, or its oldest waited long enough.

    While it waits, others that are free wait behind it: batches close one after another, as in a model server.
    """
    feeds = {size: stream.feeds(size) for size in range(1, rule.most + 1)}
    count, gate, end = board.count, board.turnstile, board.end
    due, free, start, done, server, batch = (board.view(c) for c in (DUE, FREE, START, DONE, SERVER, BATCH))
    while True:
        first = gate.take()
        taken = clock()
        if first >= count or (taken > end[0] and first):
            gate.give(count)
            return
        last, now = first + 1, taken if taken >= due[first] else wait(due[first])
        full, close = min(first + rule.most, count), due[first] + rule.wait_ns
        while last < full and (due[last] <= now or due[last] <= close):
            now = now if due[last] <= now else wait(due[last])
            last += 1
        if last < full and now < close:
            now = wait(close)
        gate.give(last)
        stream.infer(next(feeds[last - first]))
        ended = clock()
        for i in range(first, last):
            free[i], start[i], done[i], server[i], batch[i] = taken, now, ended, number, first


class Threads:
    """Serving threads that share one model. `streams` has one of each; `rows` is the number of rows of a request.

    Server 0 waits by `own_wait`, where that is given.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        clock: Clock,
        wait: Wait,
        capacity: int,
        rows: int,
        batching: Batching,
        own_wait: Wait | None = None,
    ) -> None:
        self.board = Board(capacity)
        self._streams, self._clock, self._rows, self._batching = streams, clock, rows, batching
        self._waits = [own_wait or wait, *[wait] * (len(streams) - 1)]

    def warm(self) -> None:
        """Do nothing: threads share the model, which is warm."""

    def settle(self, count: int) -> None:
        """Run so many requests in each thread, and of each size that a batch may have."""
        self._together(lambda number: settle(self._streams[number], count, self._rows, self._batching, self._clock))

    def serve(self, begin: Callable[[], None]) -> None:
        """Serve a window."""
        self._together(self._serve, begin)

    def _serve(self, number: int) -> None:
        stream, wait = self._streams[number], self._waits[number]
        serve_any(number, stream, self.board, self._clock, wait, self._rows, self._batching)

    def _together(self, work: Callable[[int], None], begin: Callable[[], None] = lambda: None) -> None:
        """Do `work` in each thread at once, this one among them, after `begin`; raises what one of them raised."""
        failures: list[BaseException] = []
        ready = threading.Barrier(len(self._streams), begin)

        def guarded(number: int) -> None:
            try:
                with self._streams[number].scope():
                    ready.wait()
                    work(number)
            except BaseException as error:  # noqa: BLE001 - it is raised again by the thread that started this one
                failures.append(error)
                ready.abort()
                self.board.stop()

        others = [threading.Thread(target=guarded, args=(n,), daemon=True) for n in range(1, len(self._streams))]
        for thread in others:
            thread.start()
        guarded(0)
        for thread in others:
            thread.join()
        if failures:
            raise failures[0]


def serve_any(
    number: int, stream: Stream, board: Board, clock: Clock, wait: Wait, rows: int, batching: Batching
) -> None:
    """Serve the board's window one request at a time, or in batches."""
    if batching.most == 1:
        serve(number, stream, board, clock, wait, rows)
    else:
        serve_batches(number, stream, board, clock, wait, batching)


def settle(stream: Stream, count: int, rows: int, batching: Batching, clock: Clock) -> None:
    """Run `count` requests of `rows` rows, and two of each size that a batch may have."""
    timed(stream.infer, stream.feeds(rows), count, clock)
    for size in range(2, batching.most + 1):
        timed(stream.infer, stream.feeds(size), 2, clock)
