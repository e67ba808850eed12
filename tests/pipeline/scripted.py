"""Runs of scripted cells in this process: a suite of fakes, launchers that only seem to be others, an observer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np

from harness.evidence.folder import write_outcome
from harness.evidence.run import RunRecord
from harness.launch.job import Ended
from harness.pipeline.request import Request, open_new
from harness.pipeline.run import run as run_pipeline
from harness.selftest.inline import InlineLauncher
from harness.spec.outcome import Launched
from harness.spec.wire import Trial

TARGET = 'description = "anywhere"\nruntime = "fake"\n'
SUITE = """
description = "fakes"
targets = ["anywhere"]
[dataset]
path = "x.npz"
{scenarios}
[budget]
seconds = {budget}
trials = {trials}
max_trials = {most}
{candidates}
[policy.limits]
latency_p99_ms = {{ max = {limit} }}
[policy.objectives]
{objectives}
"""
ONE = '[[scenario]]\nname = "interactive"\nkind = "single_stream"\nseconds = {seconds}\n'
P50 = "latency_p50_ms = { weight = 1, target = 0.01, limit = 100 }\n"
COMMON = "sigma = 0.1\nprocess_spread = 0.02\ndrift_amplitude = 0.05\n"
Opened = tuple[Path, RunRecord]


class Suites:
    """Writes suites of fakes into a folder, and makes their run folders."""

    def __init__(self, base: Path) -> None:
        self.base = base
        (base / "targets").mkdir(exist_ok=True)
        (base / "targets" / "anywhere.toml").write_text(TARGET)
        self.rows(np.arange(20) % 10)

    def rows(self, classes: np.ndarray) -> None:
        """Write the dataset."""
        np.savez(self.base / "x.npz", x=classes.astype(np.float32).reshape(-1, 1), labels=classes)

    def __call__(
        self,
        cells: Mapping[str, float | str],
        *,
        budget: float = 600.0,
        trials: int = 3,
        most: int = 12,
        limit: float = 1000.0,
        seconds: float = 0.5,
        seed: int = 3,
        objectives: str = P50,
        common: str = COMMON,
        scenarios: str = ONE,
    ) -> Opened:
        """Make a run of these candidates: name → median latency in ms, or lines of a script."""
        rows = []
        for name, script in cells.items():
            text = script if isinstance(script, str) else f"latency_ms = {script}\n"
            (self.base / f"{name}.fake.toml").write_text(f"seed = {len(rows)}\n{common}{text}")
            rows.append(f'[[candidate]]\nname = "{name}"\npath = "{name}.fake.toml"\n')
        path = self.base / "fakes.toml"
        settings = {"budget": budget, "trials": trials, "most": most, "limit": limit}
        settings["scenarios"] = scenarios.format(seconds=seconds)
        path.write_text(SUITE.format(candidates="".join(rows), objectives=objectives, **settings))
        return open_new(Request([str(path)], out=self.base / "results", seed=seed))


def raced(record: RunRecord, race: str) -> RunRecord:
    """Return the record of a run with another kind of race."""
    budget = msgspec.structs.replace(record.suite.budget, race=race)
    return msgspec.structs.replace(record, suite=msgspec.structs.replace(record.suite, budget=budget))


class Watching:
    """An observer that keeps what it heard: ("say", text), ("block", progress)."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, object]] = []

    def say(self, text: str) -> None:
        self.heard.append(("say", text))

    def progress(self, progress: object) -> None:
        self.heard.append(("block", progress))

    def tick(self, phase: str) -> None:
        pass

    @property
    def said(self) -> list[str]:
        return [text for kind, text in self.heard if kind == "say"]


def run(folder: Path, record: RunRecord, launcher: InlineLauncher | None = None, observer: Watching | None = None):
    """Run the pipeline with this launcher."""
    return run_pipeline(folder, record, observer, {"process": launcher or InlineLauncher()})


def row(ranked, name: str):
    """Return a candidate's row."""
    return next(row for row in ranked.ranking.rows if row.candidate == name)


class TakesTurns(InlineLauncher):
    """Says that its jobs take turns, and does each when it is started."""

    takes_turns = True

    @contextmanager
    def block(self, jobs):
        yield self


class VirtualTime(InlineLauncher):
    """Does jobs in this process, on a clock that each job moves by what it took: windows, warm-up, and `setup_s`.

    `monotonic` is to stand in for the clock of whoever adds up seconds. `fork_s` is what a job takes that is not fresh.
    """

    def __init__(self, setup_s: float = 0.3, fork_s: float | None = None) -> None:
        self.setup_s, self.fork_s, self.now_s, self.jobs = setup_s, fork_s, 0.0, []

    def monotonic(self) -> float:
        return self.now_s

    def start(self, folder, job, terms):
        outcome = super().start(folder, job, terms).wait(lambda phase: None)
        if isinstance(job, Trial):
            self.jobs.append(job)
            outcome = self._timed(job, outcome)
            write_outcome(folder, outcome)
        return Ended(outcome)

    def _timed(self, job, outcome):
        setup_s = self.setup_s if job.fresh or self.fork_s is None else self.fork_s
        measured = sum(window.elapsed_ns for window in outcome.windows)
        warm_up = sum(window.warm_up_ns for window in outcome.windows)
        took_s = setup_s + (measured + warm_up + (outcome.first_inference_ns or 0)) / 1e9
        self.now_s += took_s
        spent = {"sampling": measured, "warm_up": warm_up, "other": round(setup_s * 1e9)}
        launched = Launched(launcher="virtual", wall_ns=round(took_s * 1e9))
        return msgspec.structs.replace(outcome, spent=spent, launched=launched)


class SharedTime(VirtualTime):
    """Says that its jobs take turns: each job of a block then lasts from the begin of the block."""

    takes_turns = True
    _began_s: float | None = None

    @contextmanager
    def block(self, jobs):
        self._began_s = self.now_s
        yield self
        self._began_s = None

    def _timed(self, job, outcome):
        outcome = super()._timed(job, outcome)
        if self._began_s is None:
            return outcome
        launched = msgspec.structs.replace(outcome.launched, wall_ns=round((self.now_s - self._began_s) * 1e9))
        return msgspec.structs.replace(outcome, launched=launched)


def on_virtual_time(monkeypatch, launcher: VirtualTime) -> VirtualTime:
    """Let blocks and controls be timed by the launcher's clock."""
    for module in ("block", "controls", "prepare"):
        clock = SimpleNamespace(monotonic=launcher.monotonic)
        monkeypatch.setattr(f"harness.pipeline.{module}.time", clock)
    return launcher
