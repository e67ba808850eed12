"""Memory, in real processes: what was touched is what is reported; who asks for too much is named and alone."""

from pathlib import Path

from harness.evidence.folder import read_requests, succeeded
from harness.evidence.run import cold_folder, trial_folder
from harness.launch.base import Terms, run_job
from harness.pipeline.conclude import RankedRun
from harness.score.records import Row
from harness.selftest.field import MEDIAN_MS, Plan, Scripts, run, trial
from harness.selftest.records import Finding, Setting
from harness.spec.outcome import Memory
from harness.spec.target import Limits

TOUCHED_MIB, TOLERANCE = 200, 0.02
LIMIT_MIB, GREEDY_MIB, ROOMY_MIB = 256, 512, 1024
_SLEEPER = {"latency_ms": MEDIAN_MS, "sigma": 0.1}
_MIB = 1 << 20


def touched(setting: Setting) -> list[Finding]:
    """Compare the peak of a process that touches 200 MiB with that of the same process touching none."""
    plan = Plan(blocks=setting.size(2, 3), samples=100, race="off", memory_mib=ROOMY_MIB)
    scripts = {"bare": _SLEEPER, "holding": {**_SLEEPER, "memory_mib": TOUCHED_MIB}}
    with setting.folder() as base:
        ranked = _real(base, scripts, plan, setting)
        bare, holding = (_rows(ranked)[name].metrics.get("memory_peak_mib") for name in scripts)
        charged = [_charged(ranked.folder, name) for name in scripts]
    more = holding.value - bare.value if holding and bare else None
    n = holding.trials if holding else 0
    found = "unavailable" if more is None else f"{more:.1f} MiB more at peak (n = {n} each)"
    truth, wanted = f"{TOUCHED_MIB} MiB touched", f"{TOUCHED_MIB} MiB ± {TOLERANCE:.0%}"
    return [Finding("memory", truth, found, wanted, _close(more)), _by_cgroup(charged, truth, wanted)]


def _by_cgroup(charged: list[Memory], truth: str, wanted: str) -> Finding:
    """Compare what the cgroups of the two processes were charged, anonymous pages and at the peak."""
    bare, holding = charged
    anon, peak = (_more(bare, holding, field) for field in ("charged_anon_bytes", "charged_bytes"))
    if anon is None or peak is None:
        why = "unavailable: no cgroup limits memory here"
        return Finding("memory, own cgroup", truth, why, wanted, True, available=False)
    found = f"{anon:.1f} MiB more anonymous, {peak:.1f} MiB more charged at peak (n = 1 each)"
    return Finding("memory, own cgroup", truth, found, wanted, _close(anon) and _close(peak))


def _charged(folder: Path, candidate: str) -> Memory:
    outcome = succeeded(cold_folder(folder, f"{candidate}@fake", 1))
    return outcome.memory if outcome is not None else Memory()


def _more(bare: Memory, holding: Memory, field: str) -> float | None:
    before, after = getattr(bare, field), getattr(holding, field)
    return None if before is None or after is None else (after - before) / _MIB


def _close(more_mib: float | None) -> bool:
    return more_mib is not None and abs(more_mib / TOUCHED_MIB - 1) <= TOLERANCE


def too_much(setting: Setting) -> list[Finding]:
    """Let a candidate break its memory limit, and look at its row and at its neighbours'; and many times, alone."""
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
    passed = row.failure == "oom" and nothing and unchanged == trials
    return [Finding("OOM", truth, found, wanted, passed), _again(setting, truth)]


def _again(setting: Setting, truth: str) -> Finding:
    """Start a process that breaks its limit many times, and count the ends that are named so."""
    times, limits = setting.size(3, 20), Limits(memory_mib=LIMIT_MIB)
    with setting.folder() as base:
        job = trial(base, {**_SLEEPER, "memory_mib": GREEDY_MIB}, limits, 0.1)
        ends = [run_job(setting.launcher, base / f"{n}", job, Terms(base, limits)) for n in range(times)]
    oom = sum(outcome.failure == "oom" for outcome in ends)
    how = next((o.launched.resources.limits.get("memory_mib", "") for o in ends if o.launched is not None), "")
    return Finding("OOM, again and again", truth, f"oom in {oom} of {times} ({how})", "oom each time", oom == times)


def _real(base: Path, scripts: Scripts, plan: Plan, setting: Setting) -> RankedRun:
    base.mkdir(parents=True, exist_ok=True)
    return run(base, scripts, plan, setting.seed, setting.launcher)


def _rows(ranked: RankedRun) -> dict[str, Row]:
    return {row.candidate: row for row in ranked.ranking.rows}


def _samples(run_folder: Path, candidate: str, block: int) -> list[int]:
    folder = trial_folder(run_folder, f"{candidate}@fake", block)
    found: list[int] = read_requests(folder, "interactive").tolist()
    return found
