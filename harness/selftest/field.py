"""Generated suites of scripted candidates, taken through the pipeline's own steps."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from harness.evidence.files import write_json
from harness.evidence.run import RunRecord
from harness.launch.base import PROCESS, Launcher
from harness.pipeline.conclude import RankedRun, conclude
from harness.pipeline.measure import measure
from harness.pipeline.prepare import prepare
from harness.pipeline.progress import Silent
from harness.scenarios.single_stream import SingleStream
from harness.selftest.inline import InlineLauncher
from harness.spec.policy import Objective, Policy
from harness.spec.scenario import Scenario
from harness.spec.suite import Budget, Candidate, Dataset, Suite, Synthetic
from harness.spec.target import Limits, Target
from harness.spec.variant import Variant
from harness.spec.wire import Trial

Script = Mapping[str, float | int | str]
Scripts = Mapping[str, Script]

MEDIAN_MS = 20.0
"""Scripted medians are around this: the half second that warm-up takes then holds few inferences."""
BY_MEDIAN = Policy(objectives={"latency_p50_ms": Objective(weight=1, target=MEDIAN_MS / 10, limit=MEDIAN_MS * 10)})
_ENOUGH_S, _ROOM = 1e6, 5.0


class Plan(NamedTuple):
    """How a generated suite is run: blocks, samples of a trial, who may leave, by which policy, on what data."""

    blocks: int
    samples: int
    policy: Policy = BY_MEDIAN
    race: Literal["winner", "front", "off"] = "winner"
    memory_mib: int | None = None
    dataset: Dataset = Dataset(synthetic=Synthetic())

    @property
    def seconds(self) -> float:
        """Windows so long that the samples end them, also where a candidate takes several times as long as another."""
        return _ROOM * self.samples * MEDIAN_MS / 1e3


def write_scripts(base: Path, scripts: Scripts) -> tuple[Candidate, ...]:
    """Write a `.fake.toml` for each script; returns the candidates."""
    for name, script in scripts.items():
        lines = (f"{key} = {json.dumps(value)}\n" for key, value in script.items())
        (base / f"{name}.fake.toml").write_text("".join(lines), encoding="utf-8")
    return tuple(Candidate(name=name, path=f"{name}.fake.toml") for name in scripts)


def record_of(base: Path, scripts: Scripts, plan: Plan, seed: int) -> RunRecord:
    """Make a suite of fakes in `base`, and the record of a run of it."""
    target = Target(name="fake", description="scripted", runtime="fake", limits=Limits(memory_mib=plan.memory_mib))
    suite = Suite(
        name="selftest",
        description="scripted latencies",
        targets=(target.name,),
        candidate=write_scripts(base, scripts),
        scenario=(SingleStream(name="interactive", seconds=plan.seconds, max_samples=plan.samples),),
        dataset=plan.dataset,
        budget=Budget(seconds=_ENOUGH_S, trials=plan.blocks, max_trials=plan.blocks, race=plan.race),
        policy=plan.policy,
    )
    return RunRecord(
        id="selftest",
        created="2026-01-01T00:00:00+00:00",
        suite=suite,
        suite_file=str(base / "selftest.toml"),
        base=str(base),
        targets=(target,),
        seed=seed,
    )


def trial(
    base: Path, script: Script, limits: Limits, seconds: float, scenario: Scenario | None = None, seed: int = 0
) -> Trial:
    """Return the job of one fresh process that measures a fake under limits; paths are relative to `base`.

    Without a scenario, it sends one request after another.
    """
    (candidate,) = write_scripts(base, {"one": script})
    return Trial(
        candidate=candidate,
        target=Target(name="limited", description="scripted", runtime="fake", limits=limits),
        variant=Variant(format="fake", path=candidate.path),
        scenarios=(scenario or SingleStream(name="interactive", seconds=seconds),),
        synthetic=Synthetic(rows=8),
        seed=seed,
        turn_s=seconds,
    )


def run(base: Path, scripts: Scripts, plan: Plan, seed: int, launcher: Launcher | None = None) -> RankedRun:
    """Take a suite of fakes through the pipeline; the caller holds the machine's lock."""
    folder = base / "run"
    folder.mkdir(parents=True)
    record, places = record_of(base, scripts, plan, seed), {PROCESS: launcher or InlineLauncher()}
    write_json(folder / "run.json", record)
    prepared = prepare(folder, record, Silent(), places)
    measure(folder, record, prepared, Silent(), places)
    return conclude(folder)
