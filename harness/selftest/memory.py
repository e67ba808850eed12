"""Memory, in real processes: what was touched is what is reported; who asks for too much is named and alone."""

from __future__ import annotations

from pathlib import Path

from harness.report.show import Ranked
from harness.runs import trial_folder
from harness.score.records import Row
from harness.selftest.field import MEDIAN_MS, Plan, Scripts, run
from harness.selftest.records import Finding, Setting
from harness.trial.folder import read_array
from harness.trial.launch import run_job

TOUCHED_MIB, TOLERANCE = 200, 0.02
LIMIT_MIB, GREEDY_MIB = 256, 512
_SLEEPER = {"latency_ms": MEDIAN_MS, "sigma": 0.1}


def touched(setting: Setting) -> list[Finding]:
    """Compare the peak of a process that touches 200 MiB with that of the same process touching none."""
    plan = Plan(blocks=setting.size(2, 3), samples=100, race="off")
    scripts = {"bare": _SLEEPER, "holding": {**_SLEEPER, "memory_mib": TOUCHED_MIB}}
    with setting.folder() as base:
        rows = _rows(_real(base, scripts, plan, setting))
    peaks = [rows[name].metrics.get("memory_peak_mib") for name in scripts]
    bare, holding = (None if peak is None else peak.value for peak in peaks)
    more = None if bare is None or holding is None else holding - bare
    return [
        Finding(
            "memory",
            f"{TOUCHED_MIB} MiB touched",
            "unavailable" if more is None else f"{more:.1f} MiB more at peak (n = {plan.blocks} processes each)",
            f"{TOUCHED_MIB} MiB ± {TOLERANCE:.0%}",
            more is not None and abs(more / TOUCHED_MIB - 1) <= TOLERANCE,
        )
    ]


def too_much(setting: Setting) -> list[Finding]:
    """Let a candidate break its memory limit, and look at its row and at its neighbours'."""
    plan = Plan(blocks=2, samples=100, race="off", memory_mib=LIMIT_MIB)
    modest = {name: {**_SLEEPER, "seed": number} for number, name in enumerate(("before", "greedy", "after"))}
    greedy = {**modest, "greedy": {**modest["greedy"], "memory_mib": GREEDY_MIB}}
    with setting.folder() as base:
        beside_greedy = _real(base / "greedy", greedy, plan, setting)
        beside_modest = _real(base / "modest", modest, plan, setting)
        unchanged = sum(
            _samples(beside_greedy.folder, name, block) == _samples(beside_modest.folder, name, block)
            for name in ("before", "after")
            for block in range(plan.blocks)
        )
    row = _rows(beside_greedy)["greedy"]
    trials = 2 * plan.blocks
    nothing = not row.metrics and row.rank is None and row.score is None and not row.eligible
    return [
        Finding(
            "OOM",
            f"{GREEDY_MIB} MiB touched under a limit of {LIMIT_MIB} MiB",
            f"{row.failure or row.status}, {'nothing' if nothing else 'something'} published; "
            f"{unchanged} of {trials} neighbours' trials unchanged",
            "oom, unranked, nothing published, neighbours unchanged",
            row.failure == "oom" and nothing and unchanged == trials,
        )
    ]


def _real(base: Path, scripts: Scripts, plan: Plan, setting: Setting) -> Ranked:
    base.mkdir(parents=True, exist_ok=True)
    return run(base, scripts, plan, setting.seed, run_job, setting.inherit)


def _rows(ranked: Ranked) -> dict[str, Row]:
    return {row.candidate: row for row in ranked.ranking.rows}


def _samples(run_folder: Path, candidate: str, block: int) -> list[int]:
    folder = trial_folder(run_folder, f"{candidate}@fake", block)
    found: list[int] = read_array(folder / "samples" / "interactive.npy").tolist()
    return found
