"""Limits that hold here, for fresh processes and for forks; and that rounds change nothing under a quota."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from harness.evidence.folder import SLICE_COLUMNS, read_events, read_job, read_requests
from harness.launch import means as means_module
from harness.launch.base import Terms, run_job
from harness.launch.limits import Means
from harness.launch.process import ProcessLauncher
from harness.launch.rounds import Start
from harness.pipeline.plan import PERIODS
from harness.spec.outcome import Outcome, Window
from harness.spec.target import Limits
from harness.spec.wire import Trial

from .helpers import trial_of
from .installed import install
from .limited import BUSY, host_takes, left, require
from .test_rounds import sat

MIB = 1 << 20
FRESH = pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "fork"])


def under(
    base: Path, limits: Limits, scripts: Mapping[str, Mapping[str, object]], **changes: object
) -> dict[str, Outcome]:
    """Let trials of these scripts take turns under limits."""
    starts = []
    for name, script in scripts.items():
        job: Trial = msgspec.structs.replace(trial_of(base / name, **script), **changes)
        starts.append(Start(ProcessLauncher(), base / name, job, Terms(base, limits)))
    return sat(starts)


@FRESH
def test_a_process_is_in_its_own_cgroup_until_its_end(tmp_path: Path, fresh: bool) -> None:
    require("cpu", "cpuset", "memory")
    limits = Limits(cpus=0.5, memory_mib=512)
    (outcome,) = under(tmp_path, limits, {"t": {}}, fresh=fresh).values()
    assert outcome.status == "ok" and outcome.fresh is fresh, outcome.message
    resources = outcome.launched.resources
    assert resources == read_job(tmp_path / "t").resources and resources.unenforced == ()
    probe = outcome.launched.probes["cgroup"]
    assert probe.unavailable == "" and probe.facts["limit_bytes"] == 512 * MIB and probe.facts["oom_kills"] == 0
    assert str(probe.facts["cgroup"]).startswith(f"harness-{os.getpid()}-")
    assert 0 < outcome.memory.charged_anon_bytes <= outcome.memory.charged_bytes
    assert probe.facts["cgroup"] not in left()


def test_without_limits_there_is_no_cgroup_and_the_probe_says_so(tmp_path: Path) -> None:
    (outcome,) = under(tmp_path, Limits(), {"t": {}}).values()
    probe = outcome.launched.probes["cgroup"]
    assert outcome.status == "ok" and probe.unavailable and not probe.facts
    assert outcome.memory.charged_bytes is None and outcome.launched.resources.limits == {}


@FRESH
def test_too_much_memory_is_oom_and_its_neighbours_are_whole(tmp_path: Path, fresh: bool) -> None:
    require("memory")
    scripts = {"before": {}, "greedy": {"memory_mib": 512}, "after": {}}
    outcomes = under(tmp_path, Limits(memory_mib=256), scripts, fresh=fresh)
    assert (outcomes["greedy"].failure, outcomes["greedy"].by) == ("oom", "launcher")
    assert "killed by the kernel at its memory limit in phase 'load'" in outcomes["greedy"].message
    assert outcomes["greedy"].launched.probes["cgroup"].facts["oom_kills"] == 1
    for name in ("before", "after"):
        assert outcomes[name].status == "ok" and (read_requests(tmp_path / name, "one") == 1_000_000).all()
    assert not [name for name in left() if f"-{os.getpid()}-" in name]


def test_reserving_is_not_using(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RLIMIT_DATA counts what is only reserved; a cgroup counts what is touched, as a machine does."""
    require("memory")
    source = BUSY.replace(
        "session = super().load(*args)",
        "session = super().load(*args); import numpy; self.held = numpy.zeros(1 << 30, dtype=bool)",
    )
    install(tmp_path, monkeypatch, "reserving", source)
    job = trial_of(tmp_path / "t", latency_ms=0.1)
    job = msgspec.structs.replace(job, target=msgspec.structs.replace(job.target, runtime="reserving"))
    outcome = run_job(ProcessLauncher(), tmp_path / "t", job, Terms(tmp_path, Limits(memory_mib=256)))
    assert outcome.status == "ok", outcome.message


def test_touching_200_mib_is_charged_as_200_mib(tmp_path: Path) -> None:
    require("memory")
    scripts = {"bare": {}, "holding": {"memory_mib": 200}}
    found = [
        run_job(
            ProcessLauncher(),
            tmp_path / name,
            trial_of(tmp_path / name, **script),
            Terms(tmp_path, Limits(memory_mib=1024)),
        )
        for name, script in scripts.items()
    ]
    bare, holding = (outcome.memory for outcome in found)
    assert (holding.charged_anon_bytes - bare.charged_anon_bytes) / MIB == pytest.approx(200, rel=0.02)


@FRESH
@pytest.mark.parametrize("cgroup", [True, False], ids=["cgroup", "rlimit"])
@pytest.mark.parametrize(("touched_mib", "failure"), [(40, None), (90, "oom")])
def test_a_limit_above_the_baseline_does_not_count_the_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool, cgroup: bool, touched_mib: int, failure: str | None
) -> None:
    """64 MiB, as a tiny device has, are less than an interpreter with numpy takes."""
    if cgroup:
        require("memory")
    else:
        monkeypatch.setattr(means_module, "find", lambda: Means())
    limits = Limits(memory_above_baseline_mib=64)
    (outcome,) = under(tmp_path, limits, {"t": {"memory_mib": touched_mib}}, fresh=fresh).values()
    assert outcome.failure == failure, outcome.message
    noted = next(event.note for event in read_events(tmp_path / "t")[0] if event.phase == "load")
    assert noted.startswith("memory limit ")
    if failure is None:
        assert noted == f"memory limit {outcome.memory.limit_bytes} bytes"
        assert outcome.memory.limit_bytes > 64 * MIB


def test_a_fork_is_not_charged_for_its_template(tmp_path: Path) -> None:
    require("memory")
    charged = {
        fresh: under(tmp_path / str(fresh), Limits(memory_mib=512), {"t": {}}, fresh=fresh)[
            "t"
        ].memory.charged_anon_bytes
        for fresh in (True, False)
    }
    assert charged[False] < 0.7 * charged[True]


def test_kept_to_one_cpu_without_a_cgroup_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(means_module, "find", lambda: Means())
    (outcome,) = under(tmp_path, Limits(cpus=1.0), {"t": {}}).values()
    resources = outcome.launched.resources
    if len(os.sched_getaffinity(0)) > 1:
        assert len(resources.cpus) == 1 and "affinity" in resources.limits["cpus"]
    assert outcome.status == "ok" and outcome.launched.probes["cgroup"].unavailable


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return what starts busy trials under half a CPU: requests of 2 ms of CPU time."""
    require("cpu", "cpuset")
    install(tmp_path, monkeypatch, "busy", BUSY)
    limits = Limits(cpus=0.5, cpu_period_ms=40)

    def started(base: Path, names: str, turns: int) -> dict[str, Outcome]:
        turn_s = PERIODS * limits.cpu_period_ms / 1000
        job = trial_of(base / "t", latency_ms=2.0)
        target = msgspec.structs.replace(job.target, runtime="busy")
        scripts = {name: {"latency_ms": 2.0, "seconds": turns * turn_s} for name in names}
        outcomes = under(base, limits, scripts, target=target, turn_s=turn_s, fresh=False)
        assert all(outcome.status == "ok" for outcome in outcomes.values()), outcomes
        return outcomes

    return started


class Pace(NamedTuple):
    """What a trial shows: requests per second, p50 and p99 (ms), wall time ÷ CPU time, the host's part of wall time."""

    rate: float
    p50: float
    p99: float
    ratio: float
    host: float


def pace(folder: Path, outcome: Outcome) -> Pace:
    """Return the pace of a trial."""
    latency, slices, (window,) = read_requests(folder, "one"), np.load(folder / "slices.npy"), outcome.windows
    begin, end, cpu, delay = (slices[:, SLICE_COLUMNS.index(f"{n}_ns")] for n in ("begin", "end", "cpu", "delay"))
    p50, p99 = np.quantile(latency, [0.5, 0.99]) / 1e6
    wall = (end - begin).sum()
    return Pace(window.samples / (window.elapsed_ns / 1e9), p50, p99, wall / cpu.sum(), delay.sum() / wall)


def undisturbed(measured: Callable[[int], dict[str, Pace]]) -> dict[str, Pace]:
    """Measure while the host takes little, and give up where it does not let us."""
    taken = host_takes()
    for attempt in range(2 if taken < 0.1 else 0):
        found = measured(attempt)
        taken = max(each.host for each in found.values())
        assert all(each.ratio > 1.85 for each in found.values()), "never more than half, whatever the host does"
        if taken < 0.05:
            return found
    pytest.skip(f"the host takes {taken:.0%} of the time: it needs a quieter one")


def test_half_a_cpu_is_half_the_time(tmp_path: Path, busy) -> None:
    def measured(attempt: int) -> dict[str, Pace]:
        base = tmp_path / str(attempt)
        return {name: pace(base / name, outcome) for name, outcome in busy(base, "t", turns=2).items()}

    (found,) = undisturbed(measured).values()
    assert found.ratio == pytest.approx(2.0, rel=0.1)


def test_what_a_quota_holds_back_is_in_the_telemetry(tmp_path: Path, busy) -> None:
    busy(tmp_path, "t", turns=2)
    header, *rows = (tmp_path / "t" / "telemetry.csv").read_text().splitlines()
    last = dict(zip(header.split(","), rows[-1].split(","), strict=True))
    assert 0 < int(last["cgroup.throttled_periods"]) <= int(last["cgroup.periods"])
    assert float(last["cgroup.throttled_s"]) > 0 and float(last["cgroup.cpu_s"]) > 0.1


def test_a_quota_shows_in_rounds_as_it_does_alone(tmp_path: Path, busy) -> None:
    """Short turns would never use up a quota: each would look like a whole core, at twice the pace."""
    windows: list[Window] = []

    def measured(attempt: int) -> dict[str, Pace]:
        base = tmp_path / str(attempt)
        found = {"alone": pace(base / "1" / "a", busy(base / "1", "a", turns=3)["a"])}
        for name, outcome in busy(base / "2", "bc", turns=3).items():
            windows.extend(outcome.windows)
            found[name] = pace(base / "2" / name, outcome)
        return found

    alone, *together = undisturbed(measured).values()
    assert alone.rate == pytest.approx(250, rel=0.1) and alone.p99 > 8 * alone.p50, "one in ten waits for its period"
    for each in together:
        assert each.rate == pytest.approx(alone.rate, rel=0.1)
        assert each.p50 == pytest.approx(alone.p50, rel=0.1)
        assert each.p99 == pytest.approx(alone.p99, rel=0.25)
    assert all(window.rounds == 3 and window.uncounted > 0 for window in windows)
