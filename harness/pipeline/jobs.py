"""What each trial of a run is told: its cell, its windows, its turns. Follows from plan and evidence alone."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from harness.analyse.reader import RunReader
from harness.evidence.run import TRACES, Cell, Prepared, PreparedCell, RunRecord, Speed
from harness.pipeline import plan
from harness.pipeline.starts import ROWS
from harness.spec.metrics import PERCENTILES, split_key
from harness.spec.policy import Policy, keys_of
from harness.spec.scenario import Scenario
from harness.spec.synthetic import Synthetic
from harness.spec.target import Target
from harness.spec.wire import Trial
from harness.stats.quantiles import samples_needed

COLD_SECONDS = 0.1
"""How long each scenario of a cold trial lasts, at most: long enough to tell the scale and to use the memory."""
FORKED_S, STARTED_S = 0.15, 0.5
"""What starting and ending a process is assumed to take until a block has told it."""
CONTROLS_FRACTION = 0.12
"""The part of the budget that controls may take."""
_WORTH = 0.5
ENERGY_S, PACKAGE_ENERGY_S = 6.0, 1.5
"""How long a cold trial's first window lasts where the policy asks for energy, on a GPU and on a CPU: 50 updates of the
counter, and more, as it is read."""
_COLD_KEYS = ("load_", "first_inference_", "memory_", "energy_")


def measuring_s(record: RunRecord) -> float:
    """Return the seconds that the cells may be measured for: the budget, less the part of the controls."""
    return record.suite.budget.seconds * (1.0 - (CONTROLS_FRACTION if record.controls else 0.0))


def highest_percentile(policy: Policy) -> float:
    """Return the highest latency percentile that the policy asks for; p99 where it names none."""
    named = [PERCENTILES[name] for key in keys_of(policy) if (name := split_key(key)[1]) in PERCENTILES]
    return max(named, default=PERCENTILES["latency_p99_ms"])


def needs_cold(policy: Policy) -> bool:
    """Whether the policy judges what only fresh processes that run alone tell: load time, memory, energy."""
    return any(split_key(key)[1].startswith(_COLD_KEYS) for key in keys_of(policy))


def _energy_s(policy: Policy, target: Target) -> float | None:
    """Return how long a cold trial is to last for the target's energy counter; None where energy is not asked for."""
    if not any(split_key(key)[1].startswith("energy_") for key in keys_of(policy)):
        return None
    return PACKAGE_ENERGY_S if target.device == "cpu" else ENERGY_S


def windows_of(scenarios: Sequence[Scenario]) -> plan.Windows:
    """Return the seconds of the first scenario and of all others."""
    return plan.Windows(scenarios[0].seconds, math.fsum(each.seconds for each in scenarios[1:]))


def cost_of(speed: Speed, scenarios: Sequence[Scenario], needed: int, setup_s: float) -> plan.Cost:
    """Return what a trial takes, as far as the cell's first process told."""
    by_name, took_s = {each.name: each for each in scenarios}, speed.requests_s
    of = {name: by_name.get(name.partition(".")[0]) for name in took_s}
    each_s = {name: (kind.gap_s(took_s[name]) if kind else 0.0) or took_s[name] for name, kind in of.items()}
    own = [name for name, kind in of.items() if kind is scenarios[0]]
    request_s = took_s[own[0]] if own else max(took_s.values(), default=speed.first_s)
    others_s = math.fsum(each_s.values()) - (each_s[own[0]] if own else request_s)
    least_s = plan.PERIODS * speed.settle_s
    others_s = max(others_s, least_s * (len(took_s) - 1), 0.0)
    gap_s = scenarios[0].gap_s(request_s)
    effect = plan.queue_effect(request_s / gap_s / scenarios[0].serving) if gap_s else 1.0
    return plan.Cost(setup_s, request_s, others_s, math.ceil(needed * effect), least_s, gap_s)


class Sizing(NamedTuple):
    """How the trials of a block are sized: the factor of each cell's windows, and the seconds of a typical one."""

    stretch: Mapping[str, float]
    typical: float = 1.0


class Jobs:
    """Makes the jobs of one run; `dataset` is the dataset's folder, relative to the run's."""

    def __init__(self, record: RunRecord, dataset: str | None) -> None:
        self._record, self._suite = record, record.suite
        self._dataset = f"{dataset}/evaluation" if dataset else None

    def cold(self, cell: Cell, prepared: PreparedCell, number: int, predict: bool) -> Trial:
        """Make the job of a cold trial: short windows, and the predictions of the dataset where they are asked for."""
        short = [min(each.seconds, COLD_SECONDS) / each.seconds for each in self._suite.traffic]
        if (energy_s := _energy_s(self._suite.policy, cell.target)) is not None:
            short[0] = energy_s / self._suite.traffic[0].seconds
        scenarios = tuple(map(_scaled, self._suite.traffic, short))
        job = self._trial(cell, prepared, scenarios)
        kept = ROWS if cell.target.lifecycle is not None and self._dataset is None else 0
        return msgspec.structs.replace(job, predict=predict, sequence=number, keep_rows=kept)

    def trial(self, cell: Cell, prepared: PreparedCell, planned: plan.Planned, sizing: Sizing) -> Trial:
        """Make the job of a planned trial."""
        others = [min(sizing.stretch[planned.cell], 1.0)] * (len(self._suite.traffic) - 1)
        factors = [self._window_s(cell, prepared, sizing) / self._suite.traffic[0].seconds, *others]
        scenarios = tuple(map(_scaled, self._suite.traffic, factors))
        job = self._trial(cell, prepared, scenarios)
        turn = self.turn(cell, prepared, sizing)
        return msgspec.structs.replace(
            job,
            block=planned.block,
            sequence=planned.sequence,
            fresh=not prepared.forkable,
            turn_s=turn.seconds,
            cpus=_pinned(job, planned.block),
        )

    def turn(self, cell: Cell, prepared: PreparedCell, sizing: Sizing) -> plan.Turn:
        """Return the turns of a cell's trial."""
        typical_s = self._suite.traffic[0].seconds * sizing.typical
        cost = self._cost(prepared)
        return plan.turn(self._window_s(cell, prepared, sizing), typical_s, cost.request_s, cost.least_s)

    def _window_s(self, cell: Cell, prepared: PreparedCell, sizing: Sizing) -> float:
        """Return the seconds of a cell's first window: two requests of a slow model at least, a turn under a quota."""
        cost = self._cost(prepared)
        least_s = max(plan.LEAST_REQUESTS * cost.each_s, cost.least_s)
        return max(self._suite.traffic[0].seconds * sizing.stretch[cell.name], least_s)

    def _cost(self, prepared: PreparedCell) -> plan.Cost:
        return cost_of(prepared.speed or Speed(), self._suite.traffic, 0, 0.0)

    def _trial(self, cell: Cell, prepared: PreparedCell, scenarios: tuple[Scenario, ...]) -> Trial:
        assert prepared.variant is not None, "a prepared cell has a variant"
        synthetic = self._suite.dataset.synthetic
        if synthetic is not None and prepared.inputs:
            synthetic = Synthetic(synthetic.rows, {}, prepared.inputs)
        return Trial(
            candidate=cell.candidate,
            target=cell.target,
            variant=prepared.variant,
            scenarios=scenarios,
            dataset=self._dataset,
            traces=TRACES if any(each.files() for each in scenarios) else None,
            synthetic=synthetic,
            seed=self._record.seed,
        )


def _scaled(scenario: Scenario, factor: float) -> Scenario:
    changed: Scenario = msgspec.structs.replace(scenario, seconds=scenario.seconds * factor)  # type: ignore[type-var]
    return changed


def _pinned(job: Trial, block: int) -> tuple[int, ...] | None:
    """Keep a cell of one thread to one CPU, another one in each block: CPUs of one machine are not alike."""
    threads = job.target.options.get("intra_op_threads", job.target.granted.cpus)
    if not isinstance(threads, int | float) or threads > 1 or any(each.serving > 1 for each in job.scenarios):
        return None
    cpus = sorted(os.sched_getaffinity(0))
    return (cpus[block % len(cpus)],)


class Sizes:
    """Sizes the trials of each block by what is known before it: the cells' speed, what blocks took so far."""

    def __init__(self, record: RunRecord, prepared: Prepared, reader: RunReader) -> None:
        self._suite, self._prepared, self._reader = record.suite, prepared, reader
        self._wanted = plan.wanted_blocks(record.suite, record.quick)
        self._windows, self._cold = windows_of(record.suite.traffic), needs_cold(record.suite.policy)
        self._samples = samples_needed(highest_percentile(record.suite.policy))
        self.ready = [name for name, cell in prepared.cells.items() if cell.status == "ok"]
        costs = self._costs(self.ready, self._wanted)
        self._budget_s = measuring_s(record)
        most = record.suite.budget.max_trials
        self.blocks = plan.planned_blocks(list(costs.values()), self._windows, self._budget_s, self._wanted, most)
        self.wanted_s = plan.seconds_wanted(list(costs.values()), self._windows, self._wanted)

    def next(self, alive: Sequence[str], done: int, spent_s: float, needed: int | None = None) -> Sizing:
        """Return the sizing of the next block; `needed`: requests that each trial should have, if not the policy's."""
        room_s = plan.room(self._budget_s, spent_s, self.blocks - done, self._reader.block_seconds(done - 1))
        costs = self._costs(
            alive, plan.FIRST_LOOK, done, needed
        )  # a row that leaves at the first look has its tail by then
        stretch = plan.stretches(costs, self._windows, room_s)
        return Sizing(stretch, sorted(stretch.values())[len(stretch) // 2])

    def least_s(self, alive: Sequence[str], done: int) -> float:
        """Return the seconds of the shortest block that is worth running; beyond the plan, half as long as the last."""
        costs = self._costs(alive, self.blocks, done).values()
        shortest_s = math.fsum(self._windows.cost_s(cost, plan.SHORTEST) for cost in costs)
        last_s = self._reader.block_seconds(done - 1) or 0.0
        return shortest_s if done < self.blocks else max(shortest_s, _WORTH * last_s)

    def useful_s(self, alive: Sequence[str], done: int, needed: int) -> float:
        """Return the seconds of a block whose trials have as many requests as are needed."""
        costs = self._costs(alive, self.blocks, done, needed).values()
        return math.fsum(self._windows.cost_s(cost, plan.useful(cost, self._windows)) for cost in costs)

    def _costs(
        self, names: Sequence[str], blocks: int, done: int = 0, needed: int | None = None
    ) -> dict[str, plan.Cost]:
        needed = needed or plan.requests_needed(self._samples, blocks)
        setups = self._setups(names, done)
        speeds = {name: self._prepared.cells[name].speed or Speed() for name in names}
        return {name: cost_of(speeds[name], self._suite.traffic, needed, setups[name]) for name in names}

    def _setups(self, names: Sequence[str], done: int) -> dict[str, float]:
        """Return what a trial takes beside its windows: as the last block told, before that by the cells' speed."""
        guesses = {name: self._guess_s(name) for name in names}
        ran = {n: t for n in self.ready for t in self._reader.trials(n) if t.block == done - 1}
        took_s = self._reader.block_seconds(done - 1) if done else None
        if took_s is None or not ran:
            return guesses
        counted = sum(t.outcome.spent.get(purpose, 0) for t in ran.values() for purpose in ("sampling", "uncounted"))
        factor = max(0.0, took_s - counted / 1e9) / math.fsum(map(self._guess_s, ran))
        return {name: guess * factor for name, guess in guesses.items()}

    def _guess_s(self, name: str) -> float:
        """Return what a trial is expected to take beside its windows, with a cold trial where the policy needs one."""
        cold = [trial.outcome for trial in self._reader.cold(name)[:1] if self._cold]
        cold_s = math.fsum(max(0.0, each.wall_s - each.spent.get("predict", 0) / 1e9) for each in cold)
        return _setup_s(self._prepared.cells[name], self._windows.first_s) + cold_s


def _setup_s(cell: PreparedCell, window_s: float) -> float:
    """Return what starting, loading, the first inference and warming up are expected to take."""
    speed = cell.speed or Speed()
    start = FORKED_S if cell.forkable else STARTED_S + speed.load_s
    slowest = max(speed.requests_s.values(), default=0.0)
    return start + speed.load_s + speed.first_s + max(0.05 * window_s, min(6 * slowest, 1.0), slowest)
