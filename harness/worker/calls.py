"""How a loaded model is called: its `infer`, feeds that rotate over real rows, and streams for serving threads."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import Any

from harness.runtimes import feeds as feeding
from harness.runtimes.base import Feed, Infer, Session
from harness.scenarios.serving import Stream
from harness.spec.arrays import Array, Integers
from harness.spec.wire import Trial
from harness.worker.waiting import precise_sleep


class Calls:
    """The calls of one process's session; `arrays` are the inputs, rows in front."""

    def __init__(self, job: Trial, session: Session, arrays: Mapping[str, Array]) -> None:
        self.job, self.clock = job, session.clock
        self._session, self._arrays = session, arrays
        self.infer: Callable[[Any], Any] = self._slowed(session.infer)
        self.device_ns: Callable[[int], Integers] | None = getattr(session, "device_ns", None)
        self.fixed_batch, self.most_rows = feeding.fixed_batch(session.inputs), feeding.most_rows(session.inputs)
        self.inputs_bytes = sum(array.nbytes for array in arrays.values()) if job.synthetic and not job.dataset else 0

    def feeds(self, batch_size: int) -> Iterator[Feed]:
        """Return the pool's feeds over and over: a single buffer would measure the cache."""
        return self._rotating(self._pool(batch_size))

    def streams(self, count: int, sizes: Iterable[int]) -> list[Stream]:
        """Return what each serving thread calls: of several, each a connection of its own where the session has them.

        They share the feeds of these numbers of rows. A single one calls the session itself, which times its device.
        """
        connect: Callable[[], Infer] | None = getattr(self._session, "connect", None) if count > 1 else None
        pools = self._pools([*sizes])
        infers = [self.infer if connect is None else self._slowed(connect()) for _ in range(count)]
        return [Stream(infer, lambda size: self._rotating(pools[size]), self._scope) for infer in infers]

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """Let a thread serve: its sleeps end in time, and it is in the context that inference needs."""
        precise_sleep()
        with self._session.scope():
            yield

    def _pool(self, batch_size: int) -> list[Any]:
        """Make the feeds of a batch size, and count what they take."""
        pool = feeding.pool(self._session.inputs, self._arrays, batch_size, self.job.pool_rows)
        self._count([pool])
        return self._placed(pool)

    def _pools(self, sizes: Sequence[int]) -> dict[int, list[Any]]:
        """Make the feeds of several batch sizes, which share their rows, and count what they take."""
        pools = feeding.pools(self._session.inputs, self._arrays, sizes, self.job.pool_rows)
        self._count(pools.values())
        return {size: self._placed(pool) for size, pool in pools.items()}

    def _count(self, pools: Iterable[Sequence[Feed]]) -> None:
        """Count the memory of feeds; that which several of them show, once."""
        arrays = (array for pool in pools for feed in pool for array in feed.values())
        owners = (array if array.base is None else array.base for array in arrays)
        self.inputs_bytes += sum(array.nbytes for array in {id(array): array for array in owners}.values())

    def _placed(self, pool: Sequence[Feed]) -> list[Any]:
        place: Callable[[Feed], Any] | None = getattr(self._session, "place", None)
        return [*pool] if place is None else [place(feed) for feed in pool]

    def _rotating(self, pool: list[Any]) -> Iterator[Any]:
        before: Callable[[], None] | None = getattr(self._session, "before", None)
        return cycle(pool) if before is None else after(before, cycle(pool))

    def _slowed(self, infer: Infer) -> Infer:
        return slowed(infer, self.job.slower) if self.job.slower else infer


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
