"""What each trial of a run is told: its cell, its windows, its limits. Follows from plan and evidence alone."""

from __future__ import annotations

import math
import os
from pathlib import Path

import msgspec
import psutil

from harness import plan
from harness.analyse.evidence import Evidence
from harness.analyse.sizing import samples_wanted
from harness.runs import Prepared, RunRecord
from harness.spec.metrics import PERCENTILES
from harness.spec.suite import Scenario, SingleStream
from harness.spec.target import Target
from harness.spec.wire import Trial
from harness.stats.quantiles import samples_needed

GUARD_SHARE = 0.8
"""A target without a memory limit gets this share of the memory that is free when the trial starts."""
LEAST_SAMPLES = samples_needed(PERCENTILES["latency_p99_ms"])
"""A window goes on, within its stretch, until p99 has an interval."""
STRETCH = 2.0
"""To reach its least samples a window may be this much longer than the suite says."""


class Jobs:
    """Makes the jobs of one run."""

    def __init__(self, folder: Path, record: RunRecord, prepared: Prepared, evidence: Evidence) -> None:
        self._folder, self._record, self._prepared, self._evidence = folder, record, prepared, evidence
        self._cells = {cell.name: cell for cell in evidence.cells}
        self._names = tuple(self._cells)

    def trial(self, planned: plan.Planned, min_samples: int) -> Trial:
        """Make the job of a planned trial; its windows go on, within their stretch, to `min_samples`."""
        cell, prepared, suite = self._cells[planned.cell], self._prepared, self._record.suite
        artefact = prepared.cells[planned.cell].artefact
        assert artefact is not None, "a cell that is ready has an artefact"
        return Trial(
            candidate=cell.candidate,
            target=cell.target,
            artefact=artefact,
            scenarios=tuple(self._sized(s, planned, min_samples) for s in suite.scenario),
            dataset=str(self._folder / prepared.dataset) if prepared.dataset else None,
            synthetic=suite.dataset.synthetic,
            seed=self._record.seed,
            block=planned.block,
            sequence=planned.sequence,
            threads=threads_of(cell.target),
            memory_limit_bytes=memory_limit(cell.target),
            predict=planned.block == 0,
            min_samples=min_samples,
            stretch=STRETCH / self._window_share(planned.block),
        )

    def _sized(self, scenario: Scenario, planned: plan.Planned, min_samples: int) -> Scenario:
        """Shorten a scenario to the run's budget, and to the samples that are worth their time."""
        seconds = scenario.seconds * self._window_share(planned.block)
        most = scenario.max_samples
        if isinstance(scenario, SingleStream) and min_samples == LEAST_SAMPLES:
            earlier = [t for t in self._evidence.trials(planned.cell) if t.block < planned.block]
            overhead_s = self._prepared.cells[planned.cell].overhead_s
            most = min(most, samples_wanted(earlier, scenario.name, overhead_s) or most)
        return msgspec.structs.replace(scenario, seconds=seconds, max_samples=most)

    def _window_share(self, block: int) -> float:
        """Return the share of the suite's seconds that windows last: planned, then by what block 0 took."""
        planned = self._prepared.window_share
        if block == 0:
            return planned
        windows = math.fsum(scenario.seconds for scenario in self._record.suite.scenario) * planned
        took = {name: self._evidence.seconds_of(name, 0) for name in self._names}
        going_on = {n: s for n, s in took.items() if s is not None and not self._evidence.failed(n, through=1)}
        overheads = {name: max(0.0, seconds - windows) for name, seconds in going_on.items()}
        blocks = max(1, plan.planned_blocks(self._record.suite, self._record.quick) - 1)
        spent = self._prepared.spent_s + math.fsum(seconds for seconds in took.values() if seconds is not None)
        return plan.window_share(self._record.suite, overheads, blocks, spent)


def threads_of(target: Target) -> int:
    """Return how many compute threads a trial may use: min(affinity, ceil(the target's CPUs))."""
    available = len(os.sched_getaffinity(0))
    return available if target.limits.cpus is None else min(available, math.ceil(target.limits.cpus))


def memory_limit(target: Target) -> int:
    """Return the trial's memory limit in bytes: the target's, else a guard for this machine's sake."""
    if target.limits.memory_mib is not None:
        return target.limits.memory_mib << 20
    return int(psutil.virtual_memory().available * GUARD_SHARE)
