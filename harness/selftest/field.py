"""Generated suites of scripted candidates, taken through the pipeline's own steps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from harness.pipeline import conclude, measure
from harness.prepare import Launch, prepare
from harness.report.observe import Quiet
from harness.report.show import Ranked
from harness.runs import RunRecord, write_run
from harness.selftest.inline import run_inline
from harness.spec.policy import Objective, Policy
from harness.spec.suite import Budget, Candidate, Dataset, SingleStream, Suite, Synthetic
from harness.spec.target import Limits, Target

Scripts = Mapping[str, Mapping[str, float | int | str]]

MEDIAN_MS = 0.05
"""Scripted medians are around this: a window of warm-up then holds a hundred inferences."""
BY_MEDIAN = Policy(objectives={"latency_p50_ms": Objective(weight=1, target=MEDIAN_MS / 10, limit=MEDIAN_MS * 10)})
_ENOUGH_S = 1e6


class Plan(NamedTuple):
    """How a generated suite is run: blocks, samples of a trial, who may leave, by which policy, on what data."""

    blocks: int
    samples: int
    policy: Policy = BY_MEDIAN
    race: Literal["winner", "front", "off"] = "winner"
    memory_mib: int | None = None
    dataset: Dataset = Dataset(synthetic=Synthetic())


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
        scenario=(SingleStream(name="interactive", seconds=60.0, max_samples=plan.samples),),
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


def run(
    base: Path,
    scripts: Scripts,
    plan: Plan,
    seed: int,
    launch: Launch = run_inline,
    inherit: Sequence[int] = (),
) -> Ranked:
    """Take a suite of fakes through the pipeline; whoever calls holds the machine's lock.

    Raises:
        EvidenceError: evidence cannot be written.
    """
    folder = base / "run"
    folder.mkdir(parents=True)
    record = record_of(base, scripts, plan, seed)
    write_run(folder, record)
    launch = partial(launch, inherit=tuple(inherit))
    prepared = prepare(folder, record, Quiet(), launch)
    measure(folder, record, prepared, Quiet(), launch)
    return conclude(folder)
