"""Measuring: block after block of trials until the decision is made or the budget is spent."""

import math
from pathlib import Path

from harness.analyse.reader import RunReader
from harness.analyse.trials import bounds, certificate
from harness.evidence.files import cannot_write
from harness.evidence.folder import set_aside
from harness.evidence.run import Drop, Prepared, RaceRecord, RunRecord, trial_folder, write_race
from harness.launch.base import Launchers, Terms, run_job
from harness.pipeline import plan
from harness.pipeline.jobs import LEAST_SAMPLES, Jobs
from harness.pipeline.progress import Observer, Progress
from harness.pipeline.race import broken_limit, per_objective, rule_of, values_of
from harness.score.records import Entry
from harness.score.weights import single_log_metric
from harness.score.words import short_name
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.metrics import PERCENTILES
from harness.stats import racing
from harness.stats.quantiles import samples_needed

TAIL_BLOCKS = 3
TAIL_SAMPLES = samples_needed(PERCENTILES["latency_p99_9_ms"])
_OVERRUN = 1.1


class Measuring:
    """The measuring of one run. Everything it decides follows from the evidence, so a resumed run agrees."""

    def __init__(
        self, folder: Path, record: RunRecord, prepared: Prepared, observer: Observer, places: Launchers
    ) -> None:
        self._folder, self._record, self._observer, self._places = folder, record, observer, places
        self._policy, self._budget = record.suite.policy, record.suite.budget
        self._reader = RunReader(folder, record, prepared)
        self._names = tuple(cell.name for cell in self._reader.cells)
        self._ready = [name for name in self._names if prepared.cells[name].status == "ok"]
        self._jobs = Jobs(record, prepared, self._reader)
        self._rule = rule_of(self._policy, self._budget.race, self._budget.max_trials, plan.first_look(record.quick))
        self._drops: list[Drop] = []
        self._tied: tuple[str, ...] = ()
        self._settled = False
        self._spent_s = prepared.spent_s
        self._done = 0

    def run(self) -> RaceRecord:
        """Race, then spend what is left on the finalists' tails; returns (and keeps) what was decided."""
        ended = ""
        while not ended:
            self._run_block(self._done, self._alive())
            self._done += 1
            self._judge()
            ended = self._why_end()
        notes = self._tails()
        race = RaceRecord(drops=tuple(self._drops), ended=ended, tied=self._tied, notes=notes)
        write_race(self._folder, race)
        return race

    def _alive(self) -> list[str]:
        """Return the cells that can still be measured, as far as the blocks done so far tell."""
        dropped = {drop.cell for drop in self._drops}
        return [name for name in self._ready if name not in dropped and not self._reader.failed(name, self._done)]

    def _run_block(self, number: int, alive: list[str], min_samples: int = LEAST_SAMPLES) -> None:
        """Run one trial of every cell in `alive`, in the block's shuffled order; what is there is kept."""
        wanted = [p for p in plan.block(self._names, self._record.seed, number) if p.cell in alive]
        for done, planned in enumerate(wanted):
            self._show(planned, done, len(wanted))
            if number and self._spent_s > self._budget.seconds * _OVERRUN:
                break
            self._spent_s += self._run_trial(planned, min_samples)
        self._reader.refresh()

    def _run_trial(self, planned: plan.Planned, min_samples: int) -> float:
        """Run a trial unless its evidence is there and whole; returns the seconds it took."""
        folder = trial_folder(self._folder, planned.cell, planned.block)
        done = self._reader.seconds_of(planned.cell, planned.block)
        if done is not None:
            return done
        try:
            set_aside(folder)
        except OSError as error:
            raise cannot_write(folder, error) from error
        job = self._jobs.trial(planned, min_samples)
        terms = Terms(self._folder, job.target.limits, job.target.python, self._budget.phase_timeout_s)
        run_job(self._places[job.target.launcher], folder, job, terms, self._observer.tick)
        return self._reader.seconds_of(planned.cell, planned.block) or 0.0

    def _judge(self) -> None:
        """Drop cells that are clearly worse or clearly break a limit; note who ties."""
        if not self._alive() or not self._policy.objectives:
            return
        entries = dict(zip(self._names, self._reader.entries(self._policy, through=self._done), strict=True))
        if self._rule.mode != "off" and self._done in self._rule.looks:
            self._drop_infeasible(entries)
        if self._alive():
            self._drop_worse(list(entries.values()))

    def _drop_infeasible(self, entries: dict[str, Entry]) -> None:
        alive, blocks = self._alive(), self._done
        level = self._rule.alpha / (len(alive) * len(self._rule.looks))
        for name in sorted(alive):
            broken = broken_limit(entries[name], self._policy, level) or self._certified_broken(name, entries[name])
            if broken is not None:
                key, p = broken
                why = f"left after block {blocks}: the limit on {short_name(key)} is certainly broken"
                self._drops.append(Drop(cell=name, block=blocks, why=why, n=blocks, p=p))

    def _certified_broken(self, name: str, entry: Entry) -> tuple[str, None] | None:
        """Return a latency limit that every trial breaks and the samples certify to be broken."""
        first = self._record.suite.scenario[0].name
        trials = [trial for trial in self._reader.trials(name) if trial.block < self._done]
        for key, bound in bounds(self._policy).items():
            values = entry.trials.get(key, ())
            always = bool(values) and not any(value <= bound for value in values)
            if always and certificate(trials, key, bound, first) == "broken":
                return key, None
        return None

    def _drop_worse(self, entries: list[Entry]) -> None:
        table = per_objective if self._rule.mode == "front" else values_of
        racers = {self._names.index(name) for name in self._alive()}
        decision = racing.race(table(entries, self._policy, self._done), racers, self._rule)
        ratio = single_log_metric(self._policy) is not None
        self._drops += [_as_drop(drop, self._names, self._done, ratio) for drop in decision.eliminated]
        self._tied = tuple(self._names[i] for i in decision.tied)
        self._settled = decision.settled

    def _why_end(self) -> str:
        """Say why measuring ends here; empty when it goes on."""
        budget, blocks = self._budget, self._done
        if not self._alive():
            return "no cell is left to measure"
        enough = blocks >= min(budget.trials, budget.max_trials)
        if enough and self._settled and self._rule.mode != "off":
            return "the decision was made: more blocks would not change it"
        if blocks >= budget.max_trials:
            return f"every cell still in the race had its {blocks} trials"
        if self._spent_s + self._took(blocks - 1, self._alive()) > budget.seconds:
            short = "" if enough else f", before the {budget.trials} trials that were asked for"
            return f"the budget of {budget.seconds:g} s ended it after {blocks} blocks{short}"
        return ""

    def _took(self, block: int, names: list[str]) -> float:
        """Return the seconds that these cells' trials of a block took: what the next block will take."""
        return math.fsum(self._reader.seconds_of(name, block) or 0.0 for name in names)

    def _tails(self) -> tuple[Diagnostic, ...]:
        """Give the finalists blocks long enough for p99.9, as far as the budget goes.

        Finalists are the leader and what ties with it, where the race has come down to them.
        """
        finalists = self._alive()
        if not self._settled or not 1 <= len(finalists) <= 1 + len(self._tied):
            return ()
        for number in range(self._done, min(self._done + TAIL_BLOCKS, self._budget.max_trials)):
            if self._reader.has_tails(finalists, TAIL_SAMPLES):
                break
            if self._spent_s + 2 * self._took(number - 1, finalists) > self._budget.seconds:
                return (diagnostic("tails_unmeasured", "no budget was left for the finalists' p99.9"),)
            self._run_block(number, finalists, TAIL_SAMPLES)
        return ()

    def _show(self, planned: plan.Planned, done: int, total: int) -> None:
        self._observer.progress(
            Progress(
                block=planned.block + 1,
                cell=planned.cell,
                done=done,
                total=total,
                alive=tuple(self._alive()),
                cells=len(self._names),
                dropped=tuple(drop.cell for drop in self._drops),
                left_s=max(0.0, self._budget.seconds - self._spent_s),
            )
        )


def _as_drop(drop: racing.Elimination, names: tuple[str, ...], blocks: int, ratio: bool) -> Drop:
    """Say a drop in words; effects are log-ratios of the single metric (`ratio`), or differences in score."""
    leader = names[drop.leader]
    by = f"{math.expm1(drop.effect):.1%}" if ratio else f"{drop.effect:.3f} of score"
    why = f"left after block {blocks}: {by} behind {leader} (n = {drop.n} blocks, p = {drop.p:.2g})"
    return Drop(cell=names[drop.cell], block=blocks, why=why, leader=leader, n=drop.n, p=drop.p, effect=drop.effect)


def measure(folder: Path, record: RunRecord, prepared: Prepared, observer: Observer, places: Launchers) -> RaceRecord:
    """Run block after block until the decision is made or the budget is spent."""
    return Measuring(folder, record, prepared, observer, places).run()
