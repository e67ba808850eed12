"""What each trial of a run is told: its cell and its windows. Follows from plan and evidence alone."""

import math

import msgspec

from harness.analyse.reader import RunReader
from harness.analyse.sensitivity import samples_wanted
from harness.evidence.run import Prepared, RunRecord
from harness.pipeline import plan
from harness.scenarios.base import kind
from harness.spec.metrics import PERCENTILES
from harness.spec.scenario import Scenario
from harness.spec.wire import Trial
from harness.stats.quantiles import samples_needed

LEAST_SAMPLES = samples_needed(PERCENTILES["latency_p99_ms"])
"""A window goes on, within its maximum duration, until p99 has an interval."""
MAX_DURATION_FACTOR = 2.0
"""To reach its least samples a window may last this many times the suite's seconds."""


class Jobs:
    """Makes the jobs of one run."""

    def __init__(self, record: RunRecord, prepared: Prepared, reader: RunReader) -> None:
        self._record, self._prepared, self._reader = record, prepared, reader
        self._cells = {cell.name: cell for cell in reader.cells}

    def trial(self, planned: plan.Planned, min_samples: int) -> Trial:
        """Make the job of a planned trial; its windows go on, within their maximum duration, to `min_samples`."""
        cell, prepared, suite = self._cells[planned.cell], self._prepared, self._record.suite
        variant = prepared.cells[planned.cell].variant
        assert variant is not None, "a prepared cell has a variant"
        return Trial(
            candidate=cell.candidate,
            target=cell.target,
            variant=variant,
            scenarios=tuple(self._sized(s, planned, min_samples) for s in suite.scenario),
            dataset=f"{prepared.dataset}/evaluation" if prepared.dataset else None,
            synthetic=suite.dataset.synthetic,
            seed=self._record.seed,
            block=planned.block,
            sequence=planned.sequence,
            predict=planned.block == 0,
            min_samples=min_samples,
            max_duration_factor=MAX_DURATION_FACTOR / self._window_fraction(planned.block),
        )

    def _sized(self, scenario: Scenario, planned: plan.Planned, min_samples: int) -> Scenario:
        """Shorten a scenario to the run's budget, and to the samples that are worth their time."""
        seconds = scenario.seconds * self._window_fraction(planned.block)
        most = scenario.max_samples
        if kind(scenario).times_requests and min_samples == LEAST_SAMPLES:
            earlier = [t for t in self._reader.trials(planned.cell) if t.block < planned.block]
            overhead_s = self._prepared.cells[planned.cell].overhead_s
            most = min(most, samples_wanted(earlier, scenario.name, overhead_s) or most)
        changed: Scenario = msgspec.structs.replace(scenario, seconds=seconds, max_samples=most)  # type: ignore[type-var]
        return changed

    def _window_fraction(self, block: int) -> float:
        """Return the fraction of the suite's seconds that windows last: planned, then by what block 0 took."""
        planned = self._prepared.window_fraction
        if block == 0:
            return planned
        windows = math.fsum(scenario.seconds for scenario in self._record.suite.scenario) * planned
        took = {name: s for name in self._cells if (s := self._reader.seconds_of(name, 0)) is not None}
        overheads = {n: max(0.0, s - windows) for n, s in took.items() if not self._reader.failed(n, through=1)}
        blocks = max(1, plan.planned_blocks(self._record.suite, self._record.quick) - 1)
        spent = self._prepared.spent_s + math.fsum(took.values())
        return plan.window_fraction(self._record.suite, overheads, blocks, spent)
