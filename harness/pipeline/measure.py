"""Measuring: block after block of trials until the decision is made or the budget is spent."""

import math
from pathlib import Path

from harness.analyse.device_remarks import disturbed, was_repeated
from harness.analyse.reader import RunReader
from harness.analyse.trials import bounds, certificate
from harness.evidence.run import Drop, Prepared, RaceRecord, RunRecord, write_race
from harness.launch.base import Launchers
from harness.pipeline import plan
from harness.pipeline.block import Blocks
from harness.pipeline.jobs import Sizes, Sizing, measuring_s
from harness.pipeline.progress import Observer, Progress
from harness.pipeline.race import broken_limit, decide, is_open, rule_of, without_bound
from harness.score.choose import choose
from harness.score.records import Entry
from harness.score.weights import single_log_metric
from harness.score.words import number, percent, short_name
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.metrics import PERCENTILES
from harness.stats import racing
from harness.stats.quantiles import samples_needed

TAIL_BLOCKS = 3
TAIL_SAMPLES = samples_needed(PERCENTILES["latency_p99_9_ms"])
_DECIDED = "the decision was made: more blocks would not change it"
_REPEAT_FRACTION = 0.1
"""The part of the budget that repeated trials may take."""
_TAIL_FRACTION = 0.5
"""The part of what is left of the budget that the finalists' tails may take."""


class Measuring:
    """The measuring of one run. Everything it decides follows from the evidence, so a resumed run agrees."""

    def __init__(
        self, folder: Path, record: RunRecord, prepared: Prepared, observer: Observer, places: Launchers
    ) -> None:
        self._folder, self._record, self._observer = folder, record, observer
        self._policy, self._budget = record.suite.policy, record.suite.budget
        self._budget_s = measuring_s(record)
        self._reader = RunReader(folder, record, prepared)
        self._reader.refresh()
        self._names = tuple(cell.name for cell in self._reader.cells)
        self._sizes = Sizes(record, prepared, self._reader)
        self._blocks = Blocks(folder, record, prepared, self._reader, observer, places)
        self._rule = rule_of(self._policy, self._budget.race, self._budget.max_trials, plan.FIRST_LOOK)
        self._drops: list[Drop] = []
        self._decision: racing.Decision | None = None
        self._resting: set[str] = set()
        self._open = False
        self._spent_s = self._repeated_s = 0.0
        self._done = 0

    def run(self) -> RaceRecord:
        """Race, then spend what is left on the finalists' tails; returns (and keeps) what was decided."""
        notes = self._short()
        ended = "" if self._alive() else "no cell is left to measure"
        while not ended:
            self._run_block(self._alive())
            self._judge()
            ended = self._why_end()
        notes += self._tails()
        race = RaceRecord(
            drops=tuple(self._drops),
            ended=ended,
            leader=self._leader(),
            tied=self._named(self._decision.tied if self._decision else ()),
            data_limited=tuple(sorted(self._resting)),
            notes=notes,
        )
        write_race(self._folder, race)
        return race

    def _leader(self) -> str:
        """Return the cell that leads; empty where none does yet."""
        place = self._decision.leader if self._decision else None
        return "" if place is None else self._names[place]

    def _named(self, places: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(self._names[place] for place in places)

    def _alive(self) -> list[str]:
        """Return the cells that can still be measured, as far as the blocks done so far tell."""
        left = {drop.cell for drop in self._drops} | self._resting
        return [name for name in self._sizes.ready if name not in left and not self._reader.failed(name, self._done)]

    def _short(self) -> tuple[Diagnostic, ...]:
        """Say before it is spent what the budget cannot buy."""
        sizes, budget_s = self._sizes, self._budget_s
        wanted = plan.wanted_blocks(self._record.suite, self._record.quick)
        if not sizes.ready or sizes.wanted_s <= budget_s:
            return ()
        cells = f"{len(sizes.ready)} cell{'' if len(sizes.ready) == 1 else 's'}"
        text = (
            f"{cells} × {wanted} blocks need about {_minutes(sizes.wanted_s)} at this speed; "
            f"the budget is {_minutes(budget_s)}: {sizes.blocks} blocks, with shorter windows"
        )
        self._observer.say(text)
        return (diagnostic("budget_short", text, wanted_s=sizes.wanted_s, budget_s=budget_s, blocks=sizes.blocks),)

    def _run_block(self, alive: list[str], needed: int | None = None) -> None:
        """Run the next block of the cells in `alive`; what is there is kept."""
        self._observer.progress(
            Progress(
                block=self._done + 1,
                blocks=self._sizes.blocks,
                cells=len(self._names),
                alive=tuple(alive),
                dropped=tuple(drop.cell for drop in self._drops),
                left_s=max(0.0, self._budget_s - self._spent_s),
            )
        )
        sizing = self._sizes.next(alive, self._done, self._spent_s, needed)
        self._repeat(self._blocks.run(self._done, alive, sizing), sizing)
        self._spent_s += self._reader.block_seconds(self._done) or 0.0
        self._done += 1

    def _repeat(self, measured: list[str], sizing: Sizing) -> None:
        """Measure trials of this block once more in which the GPU was disturbed, as far as a part of the budget goes.

        Only once for each cell: where that does not help, its GPU is not to be had undisturbed.
        """
        left_s = _REPEAT_FRACTION * self._budget_s - self._repeated_s
        again: list[str] = []
        for name in measured:
            trials = self._reader.trials(name)
            last = next((trial for trial in trials if trial.block == self._done), None)
            codes = disturbed(last) if last is not None and not any(map(was_repeated, trials)) else ()
            if last is not None and codes and last.outcome.wall_s <= left_s:
                left_s -= last.outcome.wall_s
                again.append(name)
                self._observer.say(f"{name}: measured again, because of {', '.join(codes)}")
        if again:
            before_s = self._reader.block_seconds(self._done) or 0.0
            self._blocks.repeat(self._done, again, sizing)
            self._repeated_s += (self._reader.block_seconds(self._done) or 0.0) - before_s

    def _judge(self) -> None:
        """Drop cells that are clearly worse or clearly break a limit; note who ties."""
        if not self._alive() or not self._policy.objectives:
            return
        entries = dict(zip(self._names, self._reader.entries(self._policy, through=self._done), strict=True))
        if self._record.synthetic_policy:
            self._policy = choose(list(entries.values()))[0]
        if self._rule.mode != "off" and self._done in self._rule.looks:
            self._drop_infeasible(entries)
        if self._alive():
            self._drop_worse(list(entries.values()))
        self._open = any(self._is_open(entries[name]) for name in self._alive())

    def _is_open(self, entry: Entry) -> bool:
        """Whether more blocks may still judge an entry; bare models are measured until their p99 has both ends."""
        return is_open(entry, self._record.suite.policy, to_the_end=self._record.synthetic_policy)

    def _drop_infeasible(self, entries: dict[str, Entry]) -> None:
        alive, blocks = self._alive(), self._done
        level = self._rule.alpha / (len(alive) * len(self._rule.looks))
        for name in sorted(alive):
            if (endless := without_bound(entries[name], self._policy)) is not None:
                why = f"left after block {blocks}: {endless}"
                self._drops.append(Drop(cell=name, block=blocks, why=why, n=blocks))
                continue
            broken = broken_limit(entries[name], self._policy, level) or self._certified_broken(name, entries[name])
            if broken is not None:
                key, p = broken
                why = f"left after block {blocks}: the limit on {short_name(key)} is certainly broken"
                self._drops.append(Drop(cell=name, block=blocks, why=why, n=blocks, p=p))

    def _certified_broken(self, name: str, entry: Entry) -> tuple[str, None] | None:
        """Return a latency limit that every trial breaks and the samples certify to be broken."""
        first = self._record.suite.traffic[0].name
        trials = [trial for trial in self._reader.trials(name) if trial.block < self._done]
        for key, bound in bounds(self._policy).items():
            values = entry.trials.get(key, ())
            always = bool(values) and not any(value <= bound for value in values)
            if always and certificate(trials, key, bound, first) == "broken":
                return key, None
        return None

    def _drop_worse(self, entries: list[Entry]) -> None:
        racers = {self._names.index(name) for name in self._alive()}
        self._decision = decide(entries, self._policy, self._done, racers, self._rule)
        if self._rule.mode != "off":
            self._resting |= set(self._named(self._decision.data_limited))
        ratio = single_log_metric(self._policy) is not None
        gone = self._decision.eliminated
        if self._record.synthetic_policy:  # without a suite, each row is wanted with its tail
            gone = tuple(drop for drop in gone if not self._is_open(entries[drop.cell]))
        self._drops += [_as_drop(drop, self._names, self._done, ratio) for drop in gone]

    def _why_end(self) -> str:
        """Say why measuring ends here; empty when it goes on."""
        budget, blocks = self._budget, self._done
        if not self._alive():
            return _DECIDED if self._settled() else "no cell is left to measure"
        enough = blocks >= min(budget.trials, budget.max_trials)
        if enough and self._settled() and not self._open and self._rule.mode != "off":
            return _DECIDED
        if blocks >= budget.max_trials:
            return f"every cell still in the race had its {blocks} trials"
        if self._spent_s + self._sizes.least_s(self._alive(), blocks) > self._budget_s:
            short = "" if enough else f", before the {budget.trials} trials that were asked for"
            return f"the budget of {budget.seconds:g} s ended it after {blocks} blocks{short}"
        return ""

    def _settled(self) -> bool:
        return self._decision is not None and self._decision.settled

    def _tails(self) -> tuple[Diagnostic, ...]:
        """Give the finalists requests enough for p99.9, as far as the budget goes.

        Finalists are the leader and what ties with it, where the race has come down to them.
        """
        finalists, tied = self._alive(), self._decision.tied if self._decision else ()
        if not self._settled() or not 1 <= len(finalists) <= 1 + len(tied):
            return ()
        blocks = min(TAIL_BLOCKS, self._budget.max_trials - self._done)
        for left in range(blocks, 0, -1):
            lacking = max(TAIL_SAMPLES - self._requests(name) for name in finalists)
            if lacking <= 0:
                break
            needed = math.ceil(lacking / left)
            takes_s = left * self._sizes.useful_s(finalists, self._done, needed)
            if takes_s > _TAIL_FRACTION * (self._budget_s - self._spent_s):
                return (diagnostic("tails_unmeasured", "no budget was left for the finalists' p99.9"),)
            self._run_block(finalists, needed)
        return ()

    def _requests(self, name: str) -> int:
        """Return how many requests of the first scenario a cell has in all."""
        first = self._record.suite.traffic[0].name
        return sum(window.samples for trial in self._reader.trials(name) for window in trial.windows(first)[-1:])


def _minutes(seconds: float) -> str:
    """Write a duration as people say it."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{number(seconds / 60, 2)} min"


def _as_drop(drop: racing.Elimination, names: tuple[str, ...], blocks: int, ratio: bool) -> Drop:
    """Say a drop in words; effects are log-ratios of the single metric (`ratio`), or differences in score."""
    leader = names[drop.leader]
    by = percent(math.expm1(drop.effect), 1) if ratio else f"{drop.effect:.3f} of score"
    why = f"left after block {blocks}: {by} behind {leader} (n = {drop.n} blocks, p = {drop.p:.2g})"
    return Drop(cell=names[drop.cell], block=blocks, why=why, leader=leader, n=drop.n, p=drop.p, effect=drop.effect)


def measure(folder: Path, record: RunRecord, prepared: Prepared, observer: Observer, places: Launchers) -> RaceRecord:
    """Run block after block until the decision is made or the budget is spent."""
    return Measuring(folder, record, prepared, observer, places).run()
