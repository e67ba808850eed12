"""What a serving process runs its errands with: its own model, inputs and clock, as the trial's own."""

from contextlib import ExitStack

from harness.runtimes import feeds as feeding
from harness.runtimes.base import Session, load_runtime, preload
from harness.scenarios.board import Board
from harness.scenarios.closed_loop import warm_up
from harness.scenarios.open_loop import serve_any, settle
from harness.scenarios.serving import Stream
from harness.spec.wire import Trial
from harness.worker.calls import Calls
from harness.worker.crew import Errand, Obey
from harness.worker.inputs import inputs_of
from harness.worker.process import quiet_gc
from harness.worker.waiting import wait_of

_APART = 1_000_003
"""Scripted models of one trial draw their times apart."""


class Replica:
    """Server `number`, in a process of its own."""

    def __init__(self, number: int, board: Board, job: Trial, session: Session) -> None:
        self._number, self._board, self._clock = number, board, session.clock
        self._stay = ExitStack()
        self._stay.enter_context(session.scope())
        arrays, _ = inputs_of(job, session)
        self._calls, self._wait = Calls(job, session, arrays), wait_of(session, session.clock, 1)
        size = self._calls.fixed_batch or 1
        feeding.check_finite(session.infer(feeding.batch(session.inputs, arrays, 0, size)))
        self._streams: dict[tuple[int, int], Stream] = {}
        self._stay.enter_context(quiet_gc())

    def obey(self, errand: Errand) -> None:
        """Run an errand; who is told to load has loaded."""
        if errand.do == "load":
            return
        stream, rows = self._stream(errand), errand.rows
        if errand.do == "warm":
            warm_up(stream.infer, stream.feeds(rows), self._clock, self._calls.job.warm_up, errand.seconds)
        elif errand.do == "settle":
            settle(stream, errand.count, rows, errand.batching, self._clock)
        elif errand.do == "serve":
            with stream.scope():
                serve_any(self._number, stream, self._board, self._clock, self._wait, rows, errand.batching)

    def _stream(self, errand: Errand) -> Stream:
        """Return the stream for an errand's rows and batches; its feeds are made once."""
        key = (errand.rows, errand.batching.most)
        if key not in self._streams:
            (self._streams[key],) = self._calls.streams(1, {errand.rows, *range(1, errand.batching.most + 1)})
        return self._streams[key]


def become(job: Trial, number: int, board: Board) -> Obey:
    """Load the job's model in this process. Raises what loading raises."""
    runtime = load_runtime(job.target.runtime)
    preload(runtime)
    sequence = job.sequence + number * _APART
    session = runtime.load(job.variant, job.target, job.resources.threads, job.seed, sequence)
    return Replica(number, board, job, session).obey
