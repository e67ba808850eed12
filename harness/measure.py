"""Measuring: block after block of trials until the decision is made or the budget is spent."""

from __future__ import annotations

import math
from pathlib import Path

from harness import plan
from harness.analyse.certificate import bounds, certificate
from harness.analyse.evidence import Evidence
from harness.analyse.verdicts import Drop, Verdicts
from harness.jobs import LEAST_SAMPLES, Jobs
from harness.prepare import Launch
from harness.race import broken_limit, per_objective, rule_of, single_metric, values_of
from harness.report.observe import Observer, Progress
from harness.runs import Prepared, RunRecord, trial_folder
from harness.score.records import Entry
from harness.score.words import short_name
from harness.spec.metrics import PERCENTILES
from harness.stats import racing
from harness.stats.quantiles import samples_needed
from harness.trial.folder import cannot_write, write_json

TAIL_BLOCKS = 3
TAIL_SAMPLES = samples_needed(PERCENTILES["latency_p99_9_ms"])
_OVERRUN = 1.1


class Measuring:
    """The measuring of one run. Everything it decides follows from the evidence, so a resumed run agrees."""

    def __init__(self, folder: Path, record: RunRecord, prepared: Prepared, observer: Observer, launch: Launch) -> None:
        self._folder, self._record, self._prepared = folder, record, prepared
        self._observer, self._launch = observer, launch
        self._evidence = Evidence(folder, record, prepared)
        self._names = tuple(cell.name for cell in self._evidence.cells)
        self._jobs = Jobs(folder, record, prepared, self._evidence)
        self._rule = rule_of(
            record.suite.policy, record.suite.budget.race, record.suite.budget.max_trials, plan.first_look(record.quick)
        )
        self._drops: list[Drop] = []
        self._tied: tuple[str, ...] = ()
        self._settled = False
        self._spent_s = prepared.spent_s
        self._done = 0

    def run(self) -> Verdicts:
        """Race, then spend what is left on the finalists' tails; returns (and keeps) what was decided."""
        number, ended = 0, ""
        while not ended:
            self._run_block(number, self._alive())
            number += 1
            self._done = number
            self._judge(number)
            ended = self._why_end(number)
        notes = self._tails(number)
        verdicts = Verdicts(drops=tuple(self._drops), ended=ended, tied=self._tied, notes=notes)
        write_json(self._folder / "race.json", verdicts)
        return verdicts

    def _alive(self) -> list[str]:
        """Return the cells that can still be measured, as far as the blocks done so far tell."""
        dropped = {drop.cell for drop in self._drops}
        ready = self._prepared.cells
        return [
            name
            for name in self._names
            if name not in dropped and ready[name].status == "ok" and not self._evidence.failed(name, self._done)
        ]

    def _run_block(self, number: int, alive: list[str], min_samples: int = LEAST_SAMPLES) -> None:
        """Run one trial of every cell in `alive`, in the block's shuffled order; what is there is kept."""
        wanted = [p for p in plan.block(self._names, self._record.seed, number) if p.cell in alive]
        for done, planned in enumerate(wanted):
            self._show(planned, number, done, len(wanted))
            if number and self._spent_s > self._record.suite.budget.seconds * _OVERRUN:
                break
            self._spent_s += self._run_trial(planned, min_samples)
        self._evidence.refresh()

    def _run_trial(self, planned: plan.Planned, min_samples: int) -> float:
        """Run a trial unless its evidence is there and whole; returns the seconds it took."""
        folder = trial_folder(self._folder, planned.cell, planned.block)
        done = self._evidence.seconds_of(planned.cell, planned.block)
        if done is not None:
            return done
        _set_aside(folder)
        job = self._jobs.trial(planned, min_samples)
        self._launch(
            folder,
            job,
            python=job.target.python,
            threads=job.threads,
            timeout_s=self._record.suite.budget.phase_timeout_s,
            on_tick=self._observer.tick,
        )
        return self._evidence.seconds_of(planned.cell, planned.block) or 0.0

    def _judge(self, blocks: int) -> None:
        """Drop cells that are clearly worse or clearly break a limit; note who ties."""
        policy = self._record.suite.policy
        alive = set(self._alive())
        if not alive or not policy.objectives:
            self._settled = not alive
            return
        entries = {name: e for name, e in zip(self._names, self._entries(blocks), strict=True)}
        if self._rule.mode != "off" and blocks in self._rule.looks:
            self._drop_infeasible(blocks, alive, entries)
        alive = set(self._alive())
        if not alive:
            self._settled = True
            return
        self._drop_worse(blocks, alive, list(entries.values()))

    def _drop_infeasible(self, blocks: int, alive: set[str], entries: dict[str, Entry]) -> None:
        policy = self._record.suite.policy
        level = self._rule.alpha / (len(alive) * len(self._rule.looks))
        for name in sorted(alive):
            broken = broken_limit(entries[name], policy, level) or self._certified_broken(name, entries[name], blocks)
            if broken is not None:
                key, p = broken
                why = f"left after block {blocks}: the limit on {short_name(key)} is certainly broken"
                self._drops.append(Drop(cell=name, block=blocks, why=why, n=blocks, p=p))

    def _certified_broken(self, name: str, entry: Entry, blocks: int) -> tuple[str, None] | None:
        """Return a latency limit that every trial breaks and the samples certify to be broken."""
        first = self._record.suite.scenario[0].name
        trials = [trial for trial in self._evidence.trials(name) if trial.block < blocks]
        for key, bound in bounds(self._record.suite.policy).items():
            values = entry.trials.get(key, ())
            always = bool(values) and not any(value <= bound for value in values)
            if always and certificate(trials, key, bound, first) == "broken":
                return key, None
        return None

    def _drop_worse(self, blocks: int, alive: set[str], entries: list[Entry]) -> None:
        policy = self._record.suite.policy
        table = per_objective if self._rule.mode == "front" else values_of
        values = table(entries, policy, blocks)
        racers = {i for i, name in enumerate(self._names) if name in alive}
        decision = racing.race(values, racers, self._rule)
        for drop in decision.drops:
            self._drops.append(_as_drop(drop, self._names, blocks, ratio=single_metric(policy) is not None))
        self._tied = tuple(self._names[i] for i in decision.tied)
        self._settled = decision.settled

    def _entries(self, blocks: int) -> list[Entry]:
        return self._evidence.entries(self._record.suite.policy, through=blocks)

    def _why_end(self, blocks: int) -> str:
        """Say why measuring ends here; empty when it goes on."""
        budget = self._record.suite.budget
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
        return math.fsum(self._evidence.seconds_of(name, block) or 0.0 for name in names)

    def _tails(self, number: int) -> tuple[str, ...]:
        """Give the finalists blocks long enough for p99.9, as far as the budget goes."""
        finalists = self._finalists()
        budget = self._record.suite.budget
        for _ in range(TAIL_BLOCKS if finalists else 0):
            if self._evidence.has_tails(finalists, TAIL_SAMPLES) or number >= budget.max_trials:
                break
            if self._spent_s + 2 * self._took(number - 1, finalists) > budget.seconds:
                return ("no budget was left for the finalists' p99.9",)
            self._run_block(number, finalists, TAIL_SAMPLES)
            number += 1
        return ()

    def _finalists(self) -> list[str]:
        """Return who may still be first: the leader and what ties with it, if the race says so."""
        alive = self._alive()
        return alive if len(alive) <= 1 + len(self._tied) and self._settled else []

    def _show(self, planned: plan.Planned, block: int, done: int, total: int) -> None:
        self._observer.progress(
            Progress(
                block=block + 1,
                cell=planned.cell,
                done=done,
                total=total,
                alive=tuple(self._alive()),
                cells=len(self._names),
                dropped=tuple(drop.cell for drop in self._drops),
                left_s=max(0.0, self._record.suite.budget.seconds - self._spent_s),
            )
        )


def _as_drop(drop: racing.Drop, names: tuple[str, ...], blocks: int, ratio: bool) -> Drop:
    """Say a drop in words; effects are log-ratios of the single metric (`ratio`), or differences in score."""
    leader = names[drop.leader]
    by = f"{math.expm1(drop.effect):.1%}" if ratio else f"{drop.effect:.3f} of score"
    why = f"left after block {blocks}: {by} behind {leader} (n = {drop.n} blocks, p = {drop.p:.2g})"
    return Drop(cell=names[drop.cell], block=blocks, why=why, leader=leader, n=drop.n, p=drop.p, effect=drop.effect)


def _set_aside(folder: Path) -> None:
    """Keep what an earlier attempt left without an outcome, or damaged, out of the way but not lost."""
    if not folder.exists():
        return
    number = 1
    while (aside := folder.with_name(f"{folder.name}.incomplete-{number}")).exists():
        number += 1
    try:
        folder.rename(aside)
    except OSError as error:
        raise cannot_write(folder, error) from error
