"""Runs of scripted models under load, on a simulated clock: the child's own code and files, without a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from harness.evidence.files import write_json
from harness.evidence.run import Prepared, PreparedCell, RunRecord, trial_folder
from harness.launch.base import Terms, run_job
from harness.selftest.field import trial
from harness.selftest.inline import InlineLauncher
from harness.spec.policy import Policy
from harness.spec.scenario import Scenario
from harness.spec.suite import Candidate, Suite
from harness.spec.target import HourlyPrice, Limits, Target

from .handwritten import PRICE


def run_of(
    base: Path,
    script: dict | Sequence[dict],
    scenarios: Sequence[Scenario],
    trials: int = 3,
    price: HourlyPrice | None = PRICE,
    policy: Policy | None = None,
) -> Path:
    """Measure one candidate `a` on the target `box`; returns the run's folder. Trials may have scripts of their own."""
    target = Target(name="box", description="a box", runtime="fake", price=price)
    suite = Suite(
        name="loaded",
        description="scripted, under load",
        targets=("box",),
        candidate=(Candidate(name="a", path="one.fake.toml"),),
        scenario=tuple(scenarios),
        policy=policy or Policy(),
    )
    made = {"id": "run", "created": "2026-08-01T00:00:00+00:00", "suite_file": "s.toml", "base": "."}
    run = base / "run"
    write_json(run / "run.json", RunRecord(**made, suite=suite, targets=(target,), seed=1))
    write_json(run / "prepare.json", Prepared(cells={"a@box": PreparedCell(status="ok")}))
    scripts = [script] * trials if isinstance(script, dict) else script
    for block, script in enumerate(scripts):
        job = trial(base, script, Limits(), scenarios[0].seconds, scenarios[0], seed=1)
        job = msgspec.structs.replace(job, scenarios=tuple(scenarios), block=block, sequence=block)
        outcome = run_job(InlineLauncher(), trial_folder(run, "a@box", block), job, Terms(base))
        assert outcome.status == "ok", outcome.message
    return run
