"""What a trial gives its scenarios: the loaded model, inputs, turns, and a place to keep requests."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from harness.evidence.files import save_array
from harness.evidence.folder import LATENCY, SLICES, EventLog, save_requests
from harness.runtimes.base import ModelError, Session
from harness.scenarios.open_loop import Threads, Wait
from harness.scenarios.serving import Batching, Team
from harness.spec.arrays import Array
from harness.spec.diagnostics import Diagnostic
from harness.spec.outcome import Window
from harness.spec.scenario import Scenario
from harness.spec.wire import Trial
from harness.worker.calls import Calls
from harness.worker.crew import Crew, Errand, Processes
from harness.worker.ledger import Ledger
from harness.worker.process import usage
from harness.worker.slices import Slices
from harness.worker.turns import Turns
from harness.worker.waiting import wait_of

_IDLE_NS = 5_000_000
"""To end a slice takes a third of a millisecond: the server is then idle for much longer."""


class TrialBench(Calls):
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
        crew: Crew | None = None,
    ) -> None:
        super().__init__(job, session, arrays)
        self.row_ns = float(first_ns)
        self.windows: list[Window] = []
        self.notes: list[Diagnostic] = []
        self.counters: Counter[str] = Counter()
        self._log, self._crew = log, crew
        self._turns, self._ledger = turns, ledger
        self._slices = Slices(cpu_stat=job.resources.group.cpu_stat)
        self._requests: dict[str, Mapping[str, Array]] = {}

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
        wait = wait_of(self._session, self.clock, scenario.threads)
        streams = self.streams(scenario.threads, {rows, *range(1, batching.most + 1)})
        if scenario.processes > 1 and self._crew is not None:
            errand = Errand(do="", rows=rows, batching=batching, seconds=scenario.seconds)
            return Processes(self._crew, scenario.processes, streams[0], self.clock, self._watching(wait), errand)
        own = self._watching(wait)
        return Threads(streams, self.clock, wait, scenario.max_samples, rows, batching, own)

    def _watching(self, wait: Wait) -> Wait:
        """Return a wait that ends slices of the host where there is time for it; windows of an open loop are long."""
        clock, split = self.clock, self._slices.split

        def watching(at: int) -> int:
            if at - clock() > _IDLE_NS:
                split()
            return wait(at)

        return watching

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
