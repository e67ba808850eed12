"""Controls: the leader, a twin of it, and the same with 5 % more work, measured like cells, but not ranked.

They tell whether this run, on this host, today, can see what it claims: the twin is not to be told apart, the slower
one is.
"""

import time
from pathlib import Path

import msgspec
import numpy as np

from harness.analyse.controls import KINDS, SLOWER, control_folder
from harness.evidence.files import cannot_write
from harness.evidence.folder import set_aside, succeeded
from harness.evidence.run import Cell, Prepared, RunRecord, cells
from harness.launch.base import Launchers, Terms, run_job
from harness.launch.rounds import Start, take_turns
from harness.pipeline import plan
from harness.pipeline.jobs import CONTROLS_FRACTION, Jobs, Sizing
from harness.pipeline.progress import Observer
from harness.score.words import percent

BLOCKS = 5
MORE_WORK = 0.05
_CONTROLS = 8  # a random stream


class Controls:
    """Runs the controls of one run with the cell that leads."""

    def __init__(
        self, folder: Path, record: RunRecord, prepared: Prepared, observer: Observer, places: Launchers
    ) -> None:
        self._folder, self._record, self._prepared = folder, record, prepared
        self._observer, self._places = observer, places
        self._jobs = Jobs(record, prepared.dataset)

    def run(self, leader: str) -> None:
        """Measure the controls in a few blocks, as long as their part of the budget lasts."""
        cell = next(each for each in cells(self._record.suite, self._record.targets) if each.name == leader)
        self._observer.say(f"controls: {leader} against itself, and with {percent(MORE_WORK)} more work")
        most_s = CONTROLS_FRACTION * self._record.suite.budget.seconds
        begin = time.monotonic()
        for block in range(BLOCKS):
            spent_s = time.monotonic() - begin
            if block and spent_s * (block + 1) / block > most_s:
                break
            self._run_block(cell, block, (most_s - spent_s) / (BLOCKS - block))

    def _run_block(self, cell: Cell, block: int, room_s: float) -> None:
        launcher = self._places[cell.target.launcher]
        folders = [control_folder(self._folder, name, block) for name in KINDS]
        if all(succeeded(folder) for folder in folders):
            return
        starts = [self._start(cell, name, block, room_s) for name in KINDS]
        with launcher.block([(start.job, start.terms) for start in starts]) as ready:
            starts = [start._replace(launcher=ready) for start in starts]
            share = speed.device_share if (speed := self._prepared.cells[cell.name].speed) else 0.0
            if launcher.takes_turns and plan.side_by_side(share, len(KINDS)):
                rng = np.random.default_rng([self._record.seed, _CONTROLS, block])
                take_turns(starts, lambda _, count: rng.permutation(count).tolist(), self._observer.tick)
                return
            for start in starts:
                run_job(launcher, start.folder, start.job, start.terms, self._observer.tick)

    def _start(self, cell: Cell, name: str, block: int, room_s: float) -> Start:
        prepared, first = self._prepared.cells[cell.name], self._record.suite.traffic[0]
        stretch = min(1.0, max(plan.SHORTEST, room_s / (2 * len(KINDS) * first.seconds)))
        sizing = Sizing({cell.name: stretch}, stretch)
        job = self._jobs.trial(cell, prepared, plan.Planned(cell.name, block, block), sizing)
        slower = MORE_WORK if name == SLOWER else 0.0
        job = msgspec.structs.replace(job, scenarios=job.scenarios[:1], slower=slower)
        folder = control_folder(self._folder, name, block)
        try:
            set_aside(folder)
        except OSError as error:
            raise cannot_write(folder, error) from error
        terms = Terms(self._folder, cell.target.granted, cell.target.python, self._record.suite.budget.phase_timeout_s)
        return Start(self._places[cell.target.launcher], folder, job, terms)
