"""What a trial gives its scenarios: the loaded model, inputs, turns, and a place to keep requests."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from harness.evidence.files import save_array
from harness.evidence.folder import LATENCY, SLICES, EventLog, save_requests
from harness.runtimes import feeds as feeding
from harness.runtimes.base import Feed, Infer, ModelError, Session
from harness.scenarios.open_loop import Threads
from harness.scenarios.serving import Batching, Stream, Team
from harness.spec.arrays import Array, Integers
from harness.spec.diagnostics import Diagnostic
from harness.spec.scenario import Scenario
from harness.spec.wire import Trial, Window
from harness.worker.ledger import Ledger
from harness.worker.process import usage
from harness.worker.slices import Slices
from harness.worker.turns import Turns
from harness.worker.waiting import precise_sleep, wait_of


class TrialBench:
    """The `Bench` of every scenario kind. Requests stay in memory until `write`: writing would disturb other cells."""

    def __init__(
        self,
        job: Trial,
        log: EventLog,
        session: Session,
        arrays: Mapping[str, Array],
        turns: Turns,
        ledger: Ledger,
        first_ns: int,
    ) -> None:
        self.job, self.clock, self.row_ns = job, session.clock, float(first_ns)
        self.infer: Callable[[Any], Any] = self._slowed(session.infer)
        self.device_ns: Callable[[int], Integers] | None = getattr(session, "device_ns", None)
        self.fixed_batch, self.most_rows = feeding.fixed_batch(session.inputs), feeding.most_rows(session.inputs)
        self.windows: list[Window] = []
        self.notes: list[Diagnostic] = []
        self.counters: Counter[str] = Counter()
        self.inputs_bytes = sum(array.nbytes for array in arrays.values()) if job.synthetic and not job.dataset else 0
        self._log, self._session, self._arrays = log, session, arrays
        self._turns, self._ledger = turns, ledger
        self._slices = Slices(cpu_stat=job.resources.group.cpu_stat)
        self._requests: dict[str, Mapping[str, Array]] = {}

    def feeds(self, batch_size: int) -> Iterator[Feed]:
        """Return the pool's feeds over and over: a single buffer would measure the cache."""
        return self._rotating(self._pool(batch_size))

    def _pool(self, batch_size: int) -> list[Any]:
        """Make the feeds of a batch size, and count what they take."""
        pool = feeding.pool(self._session.inputs, self._arrays, batch_size, self.job.pool_rows)
        self.inputs_bytes += sum(array.nbytes for feed in pool for array in feed.values())
        place: Callable[[Feed], Any] | None = getattr(self._session, "place", None)
        return [*pool] if place is None else [place(feed) for feed in pool]

    def _rotating(self, pool: list[Any]) -> Iterator[Any]:
        before: Callable[[], None] | None = getattr(self._session, "before", None)
        return cycle(pool) if before is None else after(before, cycle(pool))

    @contextmanager
    def warming(self, window: str) -> Iterator[bool]:
        """Warm up for a window; yields whether an earlier one has warmed the process."""
        self._log.mark(f"warm_up:{window}")
        self._ledger.begin("warm_up")
        yield bool(self.windows)
        self._ledger.begin("other")

    @contextmanager
    def measuring(self, window: str) -> Iterator[None]:
        """Measure a window: its phase is marked before and after, and its scheduling counters are added."""
        before = usage()
        self._log.mark(f"measure:{window}")
        yield
        self._log.mark(f"measured:{window}")
        self.counters += usage() - before

    def next_turn(self) -> bool:
        """Let other processes run until it is this one's turn again; returns whether any could have run."""
        self._ledger.begin("waiting")
        self._turns.next()
        self._ledger.begin("uncounted")
        return self._turns.shared

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Record what the host does during the requests that count."""
        self._slices.resume()
        self._ledger.begin("sampling")
        yield
        self._ledger.begin("other")
        self._slices.pause()

    def team(self, scenario: Scenario, rows: int, batching: Batching) -> Team:
        """Return the servers of a scenario. Raises ModelError where several threads have no real clock to serve by."""
        if scenario.serving > 1 and self.clock is not time.perf_counter_ns:
            raise ModelError(f"{scenario.name}: several servers need a real clock; this model's is its own")
        wait = wait_of(self._session, self.clock, scenario.serving)
        sizes = {rows, *range(1, batching.most + 1)}
        return Threads(self.streams(scenario.serving, sizes), self.clock, wait, scenario.max_samples, rows, batching)

    def streams(self, count: int, sizes: Iterable[int]) -> list[Stream]:
        """Return what each of several serving threads calls: a connection of its own where the session has them.

        They share the feeds of these numbers of rows.
        """
        connect: Callable[[], Infer] | None = getattr(self._session, "connect", None)
        pools = {size: self._pool(size) for size in sizes}
        infers = [self.infer if connect is None else self._slowed(connect()) for _ in range(count)]
        return [Stream(infer, lambda size: self._rotating(pools[size]), self._scope) for infer in infers]

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """Let a thread serve: its sleeps end in time, and it is in the context that inference needs."""
        precise_sleep()
        with self._session.scope():
            yield

    def _slowed(self, infer: Infer) -> Infer:
        return slowed(infer, self.job.slower) if self.job.slower else infer

    def keep(self, window: Window, arrays: Mapping[str, Array]) -> None:
        """Keep a window's requests."""
        self._requests[window.name] = arrays
        self.row_ns = min(self.row_ns, float(np.median(arrays[LATENCY])) / window.batch_size)
        self.windows.append(window)

    def note(self, diagnostic: Diagnostic) -> None:
        """Add a note, once."""
        if diagnostic not in self.notes:
            self.notes.append(diagnostic)

    def write(self, folder: Path) -> dict[str, int]:
        """Write all requests and the slices; returns file → size in bytes."""
        files: dict[str, int] = {}
        for name, arrays in self._requests.items():
            files |= save_requests(folder, name, arrays)
        if len(rows := self._slices.rows()):
            files[SLICES] = save_array(folder / SLICES, rows)
        self._slices.close()
        return files


def after(before: Callable[[], None], feeds: Iterator[Feed]) -> Iterator[Feed]:
    """Yield feeds, each after something has been done that its request's time must not include."""
    for feed in feeds:
        before()
        yield feed


def slowed(infer: Infer, fraction: float) -> Infer:
    """Return `infer` with work added: it keeps the processor busy for this fraction of its time more."""
    clock = time.perf_counter_ns

    def call(feed: Feed) -> Any:
        begin = clock()
        outputs = infer(feed)
        now = clock()
        end = now + (now - begin) * fraction
        while clock() < end:
            pass
        return outputs

    return call
