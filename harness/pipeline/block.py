"""One block: a trial of every cell still in the race, side by side in turns where that is possible."""

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import psutil

from harness.analyse.device_remarks import REPEATED
from harness.analyse.reader import RunReader
from harness.errors import EvidenceError
from harness.evidence.files import cannot_write, write_json
from harness.evidence.folder import set_aside, succeeded
from harness.evidence.run import BlockRecord, Prepared, RunRecord, block_file, cold_folder, read_block, trial_folder
from harness.launch.base import Launchers, Terms, run_job
from harness.launch.rounds import Start, take_turns
from harness.pipeline import plan
from harness.pipeline.jobs import Jobs, Sizing, needs_cold
from harness.pipeline.progress import Observer

_SLOW_FACTOR = 10.0
_ROUNDS = 7  # a random stream


class Blocks:
    """Runs the blocks of one run. What an earlier attempt finished is kept."""

    def __init__(
        self,
        folder: Path,
        record: RunRecord,
        prepared: Prepared,
        reader: RunReader,
        observer: Observer,
        places: Launchers,
    ) -> None:
        self._folder, self._record, self._prepared = folder, record, prepared
        self._reader, self._observer, self._places = reader, observer, places
        self._jobs = Jobs(record, prepared.dataset)
        self._cells = {cell.name: cell for cell in reader.cells}
        self._cold = needs_cold(record.suite.policy)

    def run(self, number: int, alive: Sequence[str], sizing: Sizing) -> list[str]:
        """Run block `number` of these cells, and record what it took; returns those whose trials were not there.

        Raises EvidenceError if it cannot be written.
        """
        order = [p for p in plan.block(list(self._cells), self._record.seed, number) if p.cell in alive]
        missing = [planned for planned in order if not self._reader.has_evidence(planned.cell, number)]
        begin = time.monotonic()
        if self._cold:
            for planned in missing:
                self._run_cold(planned.cell, number + 2)
        speeds = {name: speed for name, cell in self._prepared.cells.items() if (speed := cell.speed)}
        needed = {name: plan.Needs(speed.memory_bytes, speed.device_share) for name, speed in speeds.items()}
        sharing = [p for p in missing if self._places[self._cells[p.cell].target.launcher].takes_turns]
        free = psutil.virtual_memory().available
        groups = plan.groups([planned.cell for planned in sharing], needed, free)
        by_name = {planned.cell: planned for planned in missing}
        for index, group in enumerate(groups):
            self._share([by_name[name] for name in sorted(group, key=self._import_s)], sizing, index)
        for planned in missing:
            if planned not in sharing:
                self._alone(planned, sizing)
        recorded = self._recorded_s(number)
        if missing or recorded is None:
            earlier = self._told_s(order, missing) if recorded is None else recorded
            wall_s = earlier + time.monotonic() - begin
            groups = (*self._recorded_groups(number), *groups)
            write_json(block_file(self._folder, number), BlockRecord(block=number, wall_s=wall_s, groups=groups))
        self._reader.refresh()
        return [planned.cell for planned in missing]

    def repeat(self, number: int, names: Sequence[str], sizing: Sizing) -> None:
        """Measure these cells' trials of a block once more, in place of those that are there, which are kept aside."""
        for name in names:
            self._set_aside(trial_folder(self._folder, name, number), REPEATED)
        self._reader.forget(names, number)
        self.run(number, names, sizing)

    def _recorded_s(self, number: int) -> float | None:
        """Return the seconds that an earlier attempt recorded of a block; None where there is no record to be read."""
        try:
            return self._reader.block_seconds(number)
        except EvidenceError:
            return None

    def _recorded_groups(self, number: int) -> tuple[tuple[str, ...], ...]:
        """Return which cells took turns with each other in an earlier attempt at a block."""
        with suppress(EvidenceError):
            record = read_block(self._folder, number)
            return () if record is None else record.groups
        return ()

    def _told_s(self, order: Sequence[plan.Planned], missing: Sequence[plan.Planned]) -> float:
        """Return what an attempt that was cut off spent on a block, as its trials tell: those in turns all at once."""
        told = [(p.cell, self._reader.seconds_of(p.cell, p.block) or 0.0) for p in order if p not in missing]
        together = {name for name, cell in self._cells.items() if self._places[cell.target.launcher].takes_turns}
        shared = max((wall_s for name, wall_s in told if name in together), default=0.0)
        return shared + math.fsum(wall_s for name, wall_s in told if name not in together)

    def _share(self, planned: Sequence[plan.Planned], sizing: Sizing, group: int) -> None:
        """Run trials side by side, taking turns."""
        block, starts = planned[0].block, [self._start(each, sizing) for each in planned]
        with ExitStack() as stack:
            names = dict.fromkeys(self._cells[each.cell].target.launcher for each in planned)
            ready = {
                name: stack.enter_context(self._places[name].block([(s.job, s.terms) for s in starts]))
                for name in names
            }
            launchers = [ready[self._cells[each.cell].target.launcher] for each in planned]
            starts = [start._replace(launcher=own) for start, own in zip(starts, launchers, strict=True)]

            def order(number: int, count: int) -> Sequence[int]:
                rng = np.random.default_rng([self._record.seed, _ROUNDS, block, group, number])
                found: list[int] = rng.permutation(count).tolist()
                return found

            take_turns(starts, order, self._observer.tick)

    def _import_s(self, name: str) -> float:
        """Return how long a cell's runtime took to import: those whose templates are ready first load first."""
        return math.fsum(trial.outcome.spent.get("import", 0) / 1e9 for trial in self._reader.cold(name)[:1])

    def _start(self, planned: plan.Planned, sizing: Sizing) -> Start:
        cell, prepared = self._cells[planned.cell], self._prepared.cells[planned.cell]
        folder = self._fresh_folder(trial_folder(self._folder, planned.cell, planned.block))
        job = self._jobs.trial(cell, prepared, planned, sizing)
        every = self._jobs.turn(cell, prepared, sizing).every
        return Start(self._places[cell.target.launcher], folder, job, self._terms(planned.cell), every)

    def _alone(self, planned: plan.Planned, sizing: Sizing) -> None:
        """Run a trial whose launcher cannot keep processes side by side."""
        launcher, folder, job, terms, _ = self._start(planned, sizing)
        run_job(launcher, folder, job, terms, self._observer.tick)

    def _run_cold(self, name: str, number: int) -> None:
        """Run a cold trial of a cell, unless it is there."""
        cell, folder = self._cells[name], cold_folder(self._folder, name, number)
        if succeeded(folder) is None:
            job = self._jobs.cold(cell, self._prepared.cells[name], number, predict=False)
            launcher = self._places[cell.target.launcher]
            run_job(launcher, self._fresh_folder(folder), job, self._terms(name), self._observer.tick)

    def _fresh_folder(self, folder: Path) -> Path:
        """Set aside what an earlier attempt left of a trial."""
        self._set_aside(folder)
        return folder

    def _set_aside(self, folder: Path, what: str = "incomplete") -> None:
        try:
            set_aside(folder, what)
        except OSError as error:
            raise cannot_write(folder, error) from error

    def _terms(self, name: str) -> Terms:
        """Return how a cell's jobs are run; time-outs follow its speed."""
        target, speed = self._cells[name].target, self._prepared.cells[name].speed
        slowest = max((speed.load_s, speed.first_s, *speed.requests_s.values())) if speed else 0.0
        timeout_s = max(self._record.suite.budget.phase_timeout_s, _SLOW_FACTOR * slowest)
        return Terms(self._folder, target.granted, target.python, timeout_s)
