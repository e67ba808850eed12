"""When batches of an open loop close and are done, by the rule of a model server. Pure; numpy only."""

import heapq
from typing import NamedTuple

import numpy as np

from harness.spec.arrays import Array, Integers


class Batches(NamedTuple):
    """Batches in the order they closed: place of the first and after the last request of each, and what each took."""

    first: Integers
    after: Integers
    took: Integers

    @classmethod
    def of(cls, batch: Array, service: Array) -> "Batches":
        """Read batches off requests: `batch` [n] is the number of the batch each was served in, `service` [n] its time.

        With one request a batch, `batch` may be its own number.
        """
        first = np.flatnonzero(np.diff(batch, prepend=batch[:1] - 1))
        return cls(first, np.append(first[1:], len(batch)), service[first])

    @property
    def sizes(self) -> Integers:
        """Requests in each batch."""
        return np.asarray(self.after - self.first)


def closes(due: Array, batches: Batches, free: Array, most: int, wait: int) -> Integers:
    """Return when each batch closes if its server is free at `free` [batches]: full, or its oldest waited long enough.

    A server that is free later closes at once what is there. The last batch of a schedule waits for nobody.
    """
    complete = (batches.sizes == most) | (batches.after == len(due))
    return np.asarray(np.maximum(free, np.where(complete, due[batches.after - 1], due[batches.first] + wait)))


def completions_in_batches(due: Array, batches: Batches, servers: int, most: int, wait: int) -> Integers:
    """Return when each request [n] is done, by its batch and what that took: batches close one after another.

    As Lindley's recursion for requests (`queueing.completions`), with the first free of `servers` for each batch.
    """
    ready = closes(due, batches, np.zeros(len(batches.took), dtype=np.int64), most, wait).tolist()
    free, closed, done = [0] * servers, 0, list[int]()
    for earliest, took in zip(ready, batches.took.tolist(), strict=True):
        closed = max(earliest, free[0], closed)
        done.append(closed + took)
        heapq.heapreplace(free, done[-1])
    return np.repeat(np.array(done, dtype=np.int64), batches.sizes)
