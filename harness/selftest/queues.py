"""Open loops whose latencies are known: a server that freezes once, Poisson arrivals at equal times, Lindley."""

from pathlib import Path

import numpy as np

from harness.analyse.trials import TrialMetrics, read_trial
from harness.errors import EvidenceError
from harness.launch.base import Launcher, Terms, run_job
from harness.scenarios.base import NS_PER_MS, MeasuredWindow
from harness.scenarios.open_metrics import Served, read_served
from harness.scenarios.server import Server
from harness.scenarios.single_stream import SingleStream
from harness.selftest.field import Script, trial
from harness.selftest.inline import InlineLauncher
from harness.selftest.records import Finding, Setting
from harness.spec.metrics import PERCENTILES
from harness.spec.scenario import Scenario
from harness.spec.target import Limits
from harness.stats.queueing import mean_wait_md1, stalled_quantile

SERVICE_MS, RATE_PER_S, OBSERVED_S = 0.3, 1_000.0, 10.0
STALL_MS, STALL_AT, STALL_TOLERANCE = 200.0, 6_000, 0.02
"""The server freezes at its 6,000th call: warm-up makes 2,000 at most, and the window has 10,000."""
BUSY, REQUESTS, WAIT_TOLERANCE = 0.7, 20_000, 0.10
REAL_MS, REAL_BUSY, REAL_S, LINDLEY_TOLERANCE, MOST_LATE = 2.0, 0.5, 2.0, 0.05, 0.05
_SINGLE, _UNDER_LOAD = "interactive", "load"
_POISSON = 10  # random stream


def stalled(setting: Setting) -> list[Finding]:
    """Freeze a server while requests go on arriving, and in a closed loop; compare with the formula."""
    script: Script = {"latency_ms": SERVICE_MS, "stall_ms": STALL_MS, "stall_at": STALL_AT}
    load = Server(name=_UNDER_LOAD, rate_per_s=RATE_PER_S, arrivals="constant", seconds=OBSERVED_S)
    closed = SingleStream(name=_SINGLE, seconds=OBSERVED_S)
    with setting.folder() as base:
        opened, alone = _measured(base / "open", script, load), _measured(base / "closed", script, closed)
    return [_stall(key, opened, alone) for key in ("latency_p99_ms", "latency_p99_9_ms")]


def _stall(key: str, opened: TrialMetrics, alone: TrialMetrics) -> Finding:
    p, busy = PERCENTILES[key], RATE_PER_S * SERVICE_MS / 1e3
    truth = stalled_quantile(p, STALL_MS, OBSERVED_S * 1e3, busy)
    found, unseen = opened.quantiles[key].value, alone.quantiles[key].value
    text = f"{found:.4g} ms, {found / truth - 1:+.1%} (n = {opened.counts[key]:,}); a closed loop says {unseen:.3g} ms"
    wanted = f"± {STALL_TOLERANCE:.0%}, and a closed loop does not see it"
    right = abs(found / truth - 1) <= STALL_TOLERANCE and unseen <= 2 * SERVICE_MS
    where = f"{truth:.4g} ms: frozen for {STALL_MS:g} ms in {OBSERVED_S:g} s"
    return Finding(f"stall, p{100 * p:g}", where, text, wanted, right)


def poisson(setting: Setting) -> list[Finding]:
    """Compare the mean wait of Poisson arrivals at equal service times with Pollaczek and Khinchine's."""
    times, waits = setting.size(2, 10), list[float]()
    load = Server(name=_UNDER_LOAD, rate_per_s=BUSY / SERVICE_MS * 1e3, seconds=REQUESTS * SERVICE_MS / 1e3 / BUSY)
    for seed in setting.seeds(_POISSON, times, jobs=True):
        with setting.folder() as base:
            served = _served(_measured(base, {"latency_ms": SERVICE_MS}, load, seed=seed))
        waits.append(float((served.start - served.due).mean()) / NS_PER_MS)
    truth, found = mean_wait_md1(BUSY, SERVICE_MS), float(np.mean(waits))
    text = f"{found:.4g} ms, {found / truth - 1:+.1%} (n = {times} × {REQUESTS:,} requests)"
    where, right = f"mean wait {truth:.4g} ms at {BUSY:.0%} busy", abs(found / truth - 1) <= WAIT_TOLERANCE
    return [Finding("M/D/1", where, text, f"± {WAIT_TOLERANCE:.0%}", right)]


def lindley(setting: Setting) -> list[Finding]:
    """Predict each latency from the realised schedule and service times: simulated, and in a real process."""
    exact = Server(name=_UNDER_LOAD, rate_per_s=BUSY / SERVICE_MS * 1e3, seconds=2.0)
    script: Script = {"latency_ms": SERVICE_MS, "sigma": 0.5}
    with setting.folder() as base:
        served = _served(_measured(base, script, exact))
    error = int(np.abs(served.latency - served.predicted()).max())
    text, truth = (
        f"differs by {error} ns at most (n = {len(served.due):,})",
        "latency follows from due and service times",
    )
    return [Finding("Lindley, simulated", truth, text, "0 ns", error == 0), _really(setting, truth)]


def _really(setting: Setting, truth: str) -> Finding:
    load = Server(name=_UNDER_LOAD, rate_per_s=REAL_BUSY / REAL_MS * 1e3, seconds=setting.size(2, 5) * REAL_S / 2)
    script: Script = {"latency_ms": REAL_MS, "clock": "real"}
    with setting.folder() as base:
        served = _served(_measured(base, script, load, setting.launcher))
    error = np.abs(served.latency - served.predicted())
    share = float(np.mean(error > LINDLEY_TOLERANCE * served.latency))
    late = float(np.mean(served.lateness() > LINDLEY_TOLERANCE * REAL_MS * NS_PER_MS))
    text = f"{1 - share:.1%} of latencies within {LINDLEY_TOLERANCE:.0%} (n = {len(error):,}; {late:.1%} began late)"
    wanted = f"{1 - MOST_LATE:.0%} of them at least"
    if late > MOST_LATE:  # others had the CPU: starts were late, and what follows them
        return Finding("Lindley, real process", truth, f"unavailable: {text}", wanted, True, available=False)
    return Finding("Lindley, real process", truth, text, wanted, share <= MOST_LATE)


def _measured(
    base: Path, script: Script, scenario: Scenario, launcher: Launcher | None = None, seed: int = 0
) -> TrialMetrics:
    """Run one trial of a fake through its scenario, and read it. Raises EvidenceError where it failed."""
    base.mkdir(parents=True, exist_ok=True)
    job = trial(base, script, Limits(), scenario.seconds, scenario, seed)
    ended = run_job(launcher or InlineLauncher(), base / "trial", job, Terms(base))
    found = read_trial(base / "trial", 0, (scenario,))
    if found is None or ended.status != "ok":
        raise EvidenceError(f"a trial of '{scenario.name}' failed: {ended.failure or ended.status}: {ended.message}")
    return found


def _served(of: TrialMetrics) -> Served:
    return read_served(MeasuredWindow(of.outcome.windows[-1], of.folder))
