"""Memory, in real processes: what was touched is what is reported; who asks for too much is named and alone."""

from pathlib import Path

from harness.evidence.folder import read_requests
from harness.evidence.run import trial_folder
from harness.pipeline.conclude import RankedRun
from harness.score.records import Row
from harness.selftest.field import MEDIAN_MS, Plan, Scripts, run
from harness.selftest.records import Finding, Setting

TOUCHED_MIB, TOLERANCE = 200, 0.02
LIMIT_MIB, GREEDY_MIB = 256, 512
_SLEEPER = {"latency_ms": MEDIAN_MS, "sigma": 0.1}


def touched(setting: Setting) -> list[Finding]:
    """Compare the peak of a process that touches 200 MiB with that of the same process touching none."""
    plan = Plan(blocks=setting.size(2, 3), samples=100, race="off")
    scripts = {"bare": _SLEEPER, "holding": {**_SLEEPER, "memory_mib": TOUCHED_MIB}}
    with setting.folder() as base:
        rows = _rows(_real(base, scripts, plan, setting))
    bare, holding = (rows[name].metrics.get("memory_peak_mib") for name in scripts)
    more = holding.value - bare.value if holding and bare else None
    found = "unavailable" if more is None else f"{more:.1f} MiB more at peak (n = {plan.blocks} processes each)"
    close = more is not None and abs(more / TOUCHED_MIB - 1) <= TOLERANCE
    return [Finding("memory", f"{TOUCHED_MIB} MiB touched", found, f"{TOUCHED_MIB} MiB ± {TOLERANCE:.0%}", close)]


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
    trials, wanted = 2 * plan.blocks, "oom, unranked, nothing published, neighbours unchanged"
    nothing = not row.metrics and row.place is None and row.score is None and not row.eligible
    truth = f"{GREEDY_MIB} MiB touched under a limit of {LIMIT_MIB} MiB"
    found = f"{row.failure or row.status}, {'nothing' if nothing else 'something'} published; "
    found += f"{unchanged} of {trials} neighbours' trials unchanged"
    return [Finding("OOM", truth, found, wanted, row.failure == "oom" and nothing and unchanged == trials)]


def _real(base: Path, scripts: Scripts, plan: Plan, setting: Setting) -> RankedRun:
    base.mkdir(parents=True, exist_ok=True)
    return run(base, scripts, plan, setting.seed, setting.launcher)


def _rows(ranked: RankedRun) -> dict[str, Row]:
    return {row.candidate: row for row in ranked.ranking.rows}


def _samples(run_folder: Path, candidate: str, block: int) -> list[int]:
    folder = trial_folder(run_folder, f"{candidate}@fake", block)
    found: list[int] = read_requests(folder, "interactive").tolist()
    return found
