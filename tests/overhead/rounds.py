"""Is a model in rounds, in a fork, as fast as in a bare loop of a process of its own?

All processes live at the same time and take turns through the harness's own `take_turns`, so that a comparison is one
of moments next to each other: the host's speed changes more within seconds than what is looked for. Each cycle has, for
every model: one long turn of a bare loop in a fresh process; turns of the harness's process one after another, alone;
the same number of turns in rounds with the other models.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL
from typing import NamedTuple

import numpy as np
from figure import Figure, median
from made import ALL_CPUS, CONVOLUTION, SCENARIO, Model, layered, torch_cnn, trial

from harness.evidence.folder import ROUND, read_requests
from harness.launch.base import OnPhase, Terms
from harness.launch.process import ProcessLauncher
from harness.launch.rounds import Start, take_turns
from harness.pipeline.plan import Turn, turn
from harness.spec.arrays import Array, Floats
from harness.spec.outcome import Outcome
from harness.spec.wire import Job

STRETCH_S = 0.06
_FAST_S = 0.0005
"""Faster models have requests enough for a p99."""
WINDOW_S = 0.5
"""The window whose turns are used: that of the suite `digits`."""


class Bare:
    """A launcher of bare loops. Its jobs share turns with the harness's."""

    def __init__(self, model: Model, turns: int, seconds: float, cpu: int | None) -> None:
        self._arguments = [model.target.runtime, str(model.path), str(model.rows / "inputs")]
        self._arguments += [str(model.target.options.get("intra_op_threads", os.cpu_count()))]
        self._arguments += ["any" if cpu is None else str(cpu), str(turns), str(seconds)]

    def start(self, folder: Path, job: Job, terms: Terms) -> BareJob:
        """Start a bare loop that leaves `bare.npy` in the folder."""
        assert terms.turns is not None
        script, out = str(Path(__file__).with_name("bare.py")), str(folder / "bare.npy")
        command = [sys.executable, script, *self._arguments, *map(str, terms.turns), out]
        return BareJob(subprocess.Popen(command, stdin=DEVNULL, pass_fds=terms.turns))


class BareJob:
    """A bare loop while it runs."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def watch(self, on_phase: OnPhase, since: float) -> bool:
        """Return False: it is not late."""
        return False

    def ended(self) -> bool:
        """Whether its process has ended."""
        return self._process.poll() is not None

    def pause(self, paused: bool) -> None:
        """Stop it between its turns, as jobs are."""
        self._process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def finish(self, late: bool = False) -> Outcome:
        """Wait for its end."""
        assert self._process.wait(60) == 0, "the bare loop failed"
        return Outcome(status="ok")

    def wait(self, on_phase: OnPhase) -> Outcome:
        """Wait for its end."""
        return self.finish()

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


class Schedule:
    """The order of turns. `kinds` tells for each of the harness's processes what each of its measured turns was."""

    def __init__(self, turns: Sequence[int], seed: int) -> None:
        self._turns, self._rng = turns, np.random.default_rng(seed)
        self.kinds: list[list[str]] = [[] for _ in turns]

    def __call__(self, number: int, count: int) -> list[int]:
        """Return the places of cycle `number`: the harness's processes come first, then a bare loop for each."""
        models = len(self._turns)
        if number == 0:
            return list(range(count))  # first inference and warm-up
        parts = [[("bare", models + each)] for each in range(models)]
        parts += [[("alone", each)] * turns for each, turns in enumerate(self._turns)]
        parts.append(self._rounds())
        places = []
        for part in self._rng.permutation(len(parts)):
            for kind, place in parts[part]:
                places.append(place)
                if place < models:
                    self.kinds[place].append(kind)
        return places

    def _rounds(self) -> list[tuple[str, int]]:
        """Return rounds in shuffled order; a model with fewer turns than others rests in some."""
        most = max(self._turns)
        taking: list[list[int]] = [[] for _ in range(most)]
        for each, turns in enumerate(self._turns):
            for number in range(turns):
                taking[number * most // turns].append(each)
        found = []
        for members in taking:
            found += [("rounds", int(each)) for each in self._rng.permutation(members)]
        return found


class Ratios(NamedTuple):
    """Of one model in one repetition: p50 in rounds ÷ bare, p50 in rounds ÷ alone, p99 in rounds ÷ alone."""

    bare: float
    alone: float
    p99: float


def turns_of(model: Model) -> tuple[Turn, int]:
    """Return a model's turns as a run would size them, and how many make a stretch."""
    found = turn(WINDOW_S, WINDOW_S, model.request_s)
    return found, max(2, round(STRETCH_S / found.seconds))


def repetition(models: Sequence[Model], folder: Path, cycles: int, seed: int) -> list[Ratios]:
    """Start fresh processes and forks of new templates, and compare."""
    cpus = sorted(os.sched_getaffinity(0))
    one = [model.target.options.get("intra_op_threads") == 1 for model in models]
    pinned = [cpus[seed % len(cpus)] if each else None for each in one]
    turns = [turns_of(model) for model in models]
    schedule, launcher, terms = Schedule([count for _, count in turns], seed), ProcessLauncher(), Terms(folder)
    jobs = [
        trial(model, own.seconds * 2 * count * cycles, own.seconds, cpu=cpu)
        for model, (own, count), cpu in zip(models, turns, pinned, strict=True)
    ]
    with launcher.block([(job, terms) for job in jobs]) as ready:
        starts = [Start(ready, folder / f"{seed}-{place}", job, terms) for place, job in enumerate(jobs)]
        for place, (model, cpu) in enumerate(zip(models, pinned, strict=True)):
            own = Bare(model, cycles + 1, max(STRETCH_S, turns[place][0].seconds * turns[place][1]), cpu)
            starts.append(Start(own, folder / f"{seed}-bare-{place}", jobs[place], terms))  # type: ignore[arg-type]
        for start in starts:
            start.folder.mkdir()
        outcomes = take_turns(starts, schedule)
    for outcome in outcomes:
        assert outcome.status == "ok", outcome.message
    count = len(models)
    return [
        _ratios(starts[place].folder, schedule.kinds[place], starts[count + place].folder / "bare.npy")
        for place in range(count)
    ]


def _ratios(folder: Path, kinds: Sequence[str], bare: Path) -> Ratios:
    """Return the medians of the cycles' ratios of p50, and the ratio of p99 of all their requests."""
    latency, number = read_requests(folder, SCENARIO), read_requests(folder, SCENARIO, ROUND)
    by_hand = np.load(bare)[1:]  # the first was its warm-up
    rounds, alone = (_p50s(latency, number, kinds, kind, len(by_hand)) for kind in ("rounds", "alone"))
    kind = np.array(kinds)[number]
    p99 = [np.quantile(latency[kind == each], 0.99) for each in ("rounds", "alone")]
    return Ratios(float(np.median(rounds / by_hand)), float(np.median(rounds / alone)), float(p99[0] / p99[1]))


def _p50s(latency: Array, number: Array, kinds: Sequence[str], kind: str, cycles: int) -> Floats:
    """Return the median of each cycle's requests in turns of one kind."""
    turns = np.split(np.array([place for place, each in enumerate(kinds) if each == kind]), cycles)
    return np.array([np.median(latency[np.isin(number, each)]) for each in turns])


def fidelity_in_rounds(folder: Path) -> list[Figure]:
    """Compare models of about 10 µs, 1 ms and 10 ms and one of torch, each on one thread.

    The one of 1 ms with dense layers is the hardest case: its weights are as large as the caches that all processes
    share.
    """
    models = [
        layered(folder, 10),
        torch_cnn(folder),
        layered(folder, 1_000, CONVOLUTION),
        layered(folder, 1_000),
        layered(folder, 10_000, CONVOLUTION),
    ]
    return _compared(models, folder)


def fidelity_of_threads(folder: Path) -> list[Figure]:
    """Compare models on all CPUs: idle threads of the process that had the turn before may still spin."""
    cpus = len(os.sched_getaffinity(0))
    models = [
        torch_cnn(folder, cpus),
        torch_cnn(folder, cpus, "cnn-wide"),
        layered(folder, 1_000, CONVOLUTION, ALL_CPUS),
        layered(folder, 10_000, CONVOLUTION, ALL_CPUS),
    ]
    return _compared(models, folder)


def _compared(models: Sequence[Model], folder: Path, repetitions: int = 7, cycles: int = 5) -> list[Figure]:
    """Compare these models in new processes again and again."""
    found = [repetition(models, folder, cycles, seed) for seed in range(repetitions)]
    figures = []
    for place, model in enumerate(models):
        own, of = [each[place] for each in found], f"of {model.name}"
        turn_s, _ = turns_of(model)
        said = f"turns of {turn_s.seconds * 1e3:.0f} ms; all: {' '.join(f'{each.bare:.3f}' for each in own)}"
        ratios = [each.bare for each in own]
        figures.append(median(f"p50 in rounds ÷ bare loop in a fresh process, {of}", ratios, 0.98, 1.02, note=said))
        figures.append(median("p50 in rounds ÷ alone, same process", [each.alone for each in own], 0.98, 1.02))
        if model.request_s < _FAST_S:
            figures.append(median("p99 in rounds ÷ alone, same process", [each.p99 for each in own], 0.9, 1.1))
    return figures
