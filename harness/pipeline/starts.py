"""Cold starts: instances of every cell that has a lifecycle are started again and again, before the race.

A round starts one instance of each cell, in an order shuffled anew, so that all cells see the same moments of the host.
How many there are is the suite's word, not the budget's: percentiles of starts need that many, and a cell that cannot
start has no part in the race.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from harness.evidence.files import cannot_write
from harness.evidence.folder import readable, set_aside
from harness.evidence.run import Cell, Prepared, RunRecord, cells, cold_folder, start_folder
from harness.launch.base import Launchers, Terms, run_job
from harness.pipeline.progress import Observer
from harness.scenarios.cold_start import ColdStarts
from harness.score.words import duration
from harness.spec import plugins
from harness.spec.outcome import Outcome
from harness.spec.wire import ColdStart

QUICK_STARTS = 10
ROWS = 64
"""How many different rows requests show, where inputs are synthetic."""
_ROUNDS = 8  # a random stream


def starts_of(record: RunRecord) -> ColdStarts:
    """Return how a run's cells are started: as its suite says, else by default; a quick run has fewer starts."""
    own = next((each for each in record.suite.scenario if isinstance(each, ColdStarts)), ColdStarts())
    samples = min(own.samples, QUICK_STARTS) if record.quick else own.samples
    return msgspec.structs.replace(own, samples=samples)


class Starts:
    """Starts the instances of one run. What an earlier attempt finished is kept."""

    def __init__(
        self, folder: Path, record: RunRecord, prepared: Prepared, observer: Observer, places: Launchers
    ) -> None:
        self._folder, self._record, self._prepared = folder, record, prepared
        self._observer, self._places, self._how = observer, places, starts_of(record)
        ready = {name for name, cell in prepared.cells.items() if cell.status == "ok"}
        every = cells(record.suite, record.targets)
        self._cells = [cell for cell in every if cell.target.lifecycle is not None and cell.name in ready]

    def run(self) -> None:
        """Start the instances of all cells, round after round; a cell that fails is started no more."""
        failed, begin = set[str](), time.monotonic()
        for number in range(self._how.samples if self._cells else 0):
            if number <= 1:  # the first round tells how long the others will take
                self._say(number, len(self._cells) - len(failed), time.monotonic() - begin)
            alive = [cell for cell in self._order(number) if cell.name not in failed]
            failed |= {cell.name for cell in alive if self._outcome(cell, number).status != "ok"}

    def _say(self, done: int, count: int, took_s: float) -> None:
        """Say what is begun, and once a round is done, how long the rest will take."""
        many = f"{count} cell{'' if count == 1 else 's'}"
        rest = f", about {duration(took_s * (self._how.samples - done))} more" if done else ""
        self._observer.say(f"cold starts: {self._how.samples} of {many}{rest}")

    def _order(self, number: int) -> Sequence[Cell]:
        rng = np.random.default_rng([self._record.seed, _ROUNDS, number])
        return [self._cells[place] for place in rng.permutation(len(self._cells))]

    def _outcome(self, cell: Cell, number: int) -> Outcome:
        """Return the outcome of a cell's start, which is run where there is none yet."""
        folder = start_folder(self._folder, cell.name, number)
        if (done := readable(folder)) is not None:
            return done
        try:
            set_aside(folder)
        except OSError as error:
            raise cannot_write(folder, error) from error
        terms = Terms(self._folder, cell.target.granted, cell.target.python)
        return run_job(self._places[cell.target.launcher], folder, self._job(cell, number), terms, self._observer.tick)

    def _job(self, cell: Cell, number: int) -> ColdStart:
        variant = self._prepared.cells[cell.name].variant
        assert variant is not None, "a prepared cell has a variant"
        data = self._prepared.dataset
        kept = cold_folder(Path(), cell.name, 1)
        return ColdStart(
            candidate=cell.candidate,
            target=cell.target,
            variant=variant,
            entry=plugins.entry("runtimes", cell.target.runtime),
            rows=str(kept / "inputs") if data is None else f"{data}/evaluation/inputs",
            requests=self._how.requests,
            seconds=self._how.seconds,
            seed=self._record.seed,
            block=number,
        )
