"""Which means holds which limit: the pure decision, and what it says."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.launch.limits import CONTROLLERS, Here, Means, Place, Quota, decide, describe, kept_to
from harness.spec.target import Limits, Target
from harness.spec.wire import CheckTarget, Resources

from .helpers import trial_of

MIB = 1 << 20
V1, V2 = Place("cgroup v1", Path("/v1")), Place("cgroup v2", Path("/v2"))
ALL = Means(dict.fromkeys((*CONTROLLERS, "cpuacct"), V1))
NONE = Means({}, dict.fromkeys(CONTROLLERS, "nothing is mounted"))
TWO, EIGHT = (Here(tuple(range(cpus)), 1000 * MIB) for cpus in (2, 8))


def test_without_limits_nothing_is_set_and_memory_is_guarded():
    resources, settings = decide(Limits(), ALL, TWO)
    assert settings == {}
    guard = 800 * MIB
    assert resources == Resources(threads=2, memory_limit_bytes=guard, data_limit_bytes=guard)


@pytest.mark.parametrize(
    ("cpus", "here", "settings", "settle_s", "says"),
    [
        (
            0.5,
            TWO,
            {"cpu": Quota(50_000, 100_000), "cpuset": (0,), "cpuacct": None},
            0.1,
            "50 ms in each 100 ms (cgroup v1, cpu); CPU 0 of 2 (cgroup v1, cpuset); 1 thread",
        ),
        (1.0, TWO, {"cpuset": (0,)}, 0.0, "CPU 0 of 2 (cgroup v1, cpuset); 1 thread"),
        (
            1.5,
            TWO,
            {"cpu": Quota(150_000, 100_000), "cpuacct": None},
            0.1,
            "150 ms in each 100 ms (cgroup v1, cpu); 2 threads",
        ),
        (2.0, TWO, {}, 0.0, "2 CPUs are all there is here"),
        (
            2.5,
            EIGHT,
            {"cpu": Quota(250_000, 100_000), "cpuset": (0, 1, 2), "cpuacct": None},
            0.1,
            "250 ms in each 100 ms (cgroup v1, cpu); CPUs 0, 1, 2 of 8 (cgroup v1, cpuset); 3 threads",
        ),
    ],
)
def test_cpus_are_a_quota_on_as_many_cores(cpus, here, settings, settle_s, says):
    resources, found = decide(Limits(cpus=cpus), ALL, here)
    assert (found, resources.settle_s, resources.limits) == (settings, settle_s, {"cpus": says})
    assert resources.unenforced == () and resources.cpus is None
    assert resources.threads == min(len(here.cpus), math.ceil(cpus))


def test_a_period_of_its_own():
    resources, settings = decide(Limits(cpus=0.5, cpu_period_ms=20), ALL, TWO)
    assert settings["cpu"] == Quota(10_000, 20_000)
    assert resources.settle_s == 0.02
    assert resources.limits["cpus"].startswith("10 ms in each 20 ms")


def test_without_a_cpuset_affinity_keeps_to_the_cores_and_a_quota_to_the_time():
    means = Means({"cpu": V2, "memory": V2}, {"cpuset": "not handed over"})
    resources, settings = decide(Limits(cpus=1.0), means, TWO)
    assert settings == {"cpu": Quota(100_000, 100_000)}
    assert (resources.cpus, resources.settle_s) == ((0,), 0.0), "one core cannot use more than the quota"
    assert "affinity, which a process can change: not handed over" in resources.limits["cpus"]
    assert "100 ms in each 100 ms (cgroup v2, cpu)" in resources.limits["cpus"]


@pytest.mark.parametrize(
    ("cpus", "unenforced"), [(0.5, ("cpus",)), (1.0, ()), (1.5, ("cpus",)), (2.0, ()), (2.5, ("cpus",))]
)
def test_what_nothing_enforces_is_named(cpus, unenforced):
    resources, settings = decide(Limits(cpus=cpus), NONE, TWO)
    assert (settings, resources.unenforced, resources.settle_s) == ({}, unenforced, 0.0)
    if cpus in (0.5, 1.5):
        assert "not enforced: nothing is mounted" in resources.limits["cpus"]


def test_memory_is_the_controllers_and_rlimit_is_only_the_guard_then():
    resources, settings = decide(Limits(memory_mib=256), ALL, TWO)
    assert settings == {"memory": 256 * MIB}
    assert (resources.memory_limit_bytes, resources.data_limit_bytes) == (256 * MIB, 800 * MIB)
    assert resources.limits["memory_mib"].startswith("cgroup v1, memory; a fresh process pays for interpreter")


def test_memory_without_a_controller_is_rlimit_data():
    resources, settings = decide(Limits(memory_mib=256), NONE, TWO)
    assert settings == {}
    assert resources.memory_limit_bytes == resources.data_limit_bytes == 256 * MIB
    assert resources.limits == {"memory_mib": "RLIMIT_DATA, private writable memory (nothing is mounted)"}


@pytest.mark.parametrize(("means", "settings", "by"), [(ALL, {"memory": None}, "cgroup v1"), (NONE, {}, "RLIMIT_DATA")])
def test_memory_above_the_baseline_is_set_later(means, settings, by):
    resources, found = decide(Limits(memory_above_baseline_mib=64), means, TWO)
    assert (found, resources.above_baseline_bytes, resources.data_limit_bytes) == (settings, 64 * MIB, 800 * MIB)
    assert resources.limits["memory_above_baseline_mib"].startswith(by)


def test_each_limit_falls_back_alone():
    resources, settings = decide(Limits(cpus=0.5, memory_mib=64), ALL.without("cpu", "EINVAL"), TWO)
    assert settings == {"cpuset": (0,), "memory": 64 * MIB}
    assert "not enforced: EINVAL" in resources.limits["cpus"] and "cpuset" in resources.limits["cpus"]


def test_a_pinned_job_keeps_its_cpu_and_others_change_it_with_the_block(tmp_path: Path):
    job = trial_of(tmp_path / "t")
    blocks = [msgspec.structs.replace(job, block=block) for block in range(4)]
    assert [kept_to((0, 1), 1, each) for each in blocks] == [(0,), (1,), (0,), (1,)]
    assert [kept_to((4, 5, 6), 2, each) for each in blocks] == [(4, 5), (5, 6), (4, 6), (4, 5)]
    assert kept_to((0, 1), 1, msgspec.structs.replace(job, cpus=(1,))) == (1,)
    assert kept_to((0, 1), 1, msgspec.structs.replace(job, cpus=(7,))) == (0,), "not given to this process here"
    other = CheckTarget(target=Target(name="t", description="", runtime="fake"))
    assert kept_to((0, 1, 2), 2, other) == (0, 1)


@pytest.mark.parametrize(("threads", "settle_s"), [(1, 0.0), (2, 0.1), (4, 0.1)])
def test_a_quota_that_the_threads_cannot_use_up_needs_no_settling(tmp_path: Path, threads, settle_s):
    job = trial_of(tmp_path / "t")
    target = msgspec.structs.replace(job.target, options={"intra_op_threads": threads})
    resources, _ = decide(Limits(cpus=1.5), ALL, TWO, msgspec.structs.replace(job, target=target))
    assert resources.settle_s == settle_s


PLACES = st.dictionaries(st.sampled_from(CONTROLLERS), st.sampled_from([V1, V2, Place("systemd scope", Path("/s"))]))
LIMITS = st.builds(
    Limits,
    cpus=st.none() | st.floats(0.05, 12.0),
    cpu_period_ms=st.integers(20, 1000),
    memory_mib=st.none() | st.integers(1, 1 << 20),
)


@given(PLACES, LIMITS, st.integers(1, 9))
def test_every_limit_is_set_or_said_not_to_be(places, limits, count):
    """What is set can be set, is within the limit, and every limit that was given is spoken of."""
    here = Here(tuple(range(3, 3 + count)), 1000 * MIB)
    resources, settings = decide(limits, Means(places), here)
    assert set(settings) <= set(places)
    given_limits = {name for name in ("cpus", "memory_mib") if getattr(limits, name) is not None}
    assert set(resources.limits) == given_limits and set(resources.unenforced) <= given_limits
    assert 1 <= resources.threads <= count
    if limits.cpus is None:
        return
    cores = settings.get("cpuset") or resources.cpus or here.cpus
    assert set(cores) <= set(here.cpus) and len(cores) == min(count, math.ceil(limits.cpus))
    quota = settings.get("cpu")
    time = quota.quota_us / quota.period_us if quota else len(cores)
    held = time <= limits.cpus * (1 + 1e-3) and (quota or "cpuset" in settings or len(cores) <= limits.cpus)
    assert held or "cpus" in resources.unenforced
    assert (resources.settle_s > 0) == (quota is not None and limits.cpus < len(cores))


def test_the_description_names_what_holds_each_limit():
    means = Means({"cpu": V2}, {"cpuset": "why not", "memory": "why not"})
    assert describe(means) == {
        "cpu": "cgroup v2 in /v2",
        "cpuset": "affinity, which a process can change (why not)",
        "memory": "RLIMIT_DATA, private writable memory (why not)",
    }


def test_a_slower_core_is_a_smaller_quota_of_the_same_cores():
    limits = Limits(cpus=1.0, cpu_period_ms=10, cpu_scale=0.25, cpu_scale_source="kernels")
    resources, settings = decide(limits, ALL, TWO)
    assert settings == {"cpu": Quota(2_500, 10_000), "cpuset": (0,), "cpuacct": None}
    assert (resources.threads, resources.settle_s) == (1, 0.01)
    assert decide(limits, NONE, Here((0,), MIB)).resources.unenforced == ("cpus",), "one core there is not slow enough"
