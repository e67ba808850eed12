"""What the cgroup probe reads, of both versions, off recorded files; and of a process in no cgroup of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.probes.base import Unavailable
from harness.probes.cgroup import CgroupProbe, oom_kills

from ..launch.trees import V1, V2, tree

PID = 4711
V1_CGROUP = "4:memory:/docker/4f/harness-1-2-ab\n2:cpu,cpuacct:/harness-1-2-ab\n3:cpuset:/\n0::/\n"
V1_FILES = {
    "memory/harness-1-2-ab/memory.usage_in_bytes": "157286400\n",
    "memory/harness-1-2-ab/memory.max_usage_in_bytes": "209715200\n",
    "memory/harness-1-2-ab/memory.limit_in_bytes": "268435456\n",
    "memory/harness-1-2-ab/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "memory/harness-1-2-ab/memory.stat": "cache 41943040\nrss 104857600\nrss_huge 0\nshmem 0\ntotal_cache 1\n",
    "cpu,cpuacct/harness-1-2-ab/cpu.stat": "nr_periods 40\nnr_throttled 30\nthrottled_time 1500000000\nnr_bursts 0\n",
    "cpu,cpuacct/harness-1-2-ab/cpuacct.usage": "2000000000\n",
}
V2_FILES = {
    "app/harness-1-2-ab/memory.current": "157286400\n",
    "app/harness-1-2-ab/memory.peak": "209715200\n",
    "app/harness-1-2-ab/memory.max": "268435456\n",
    "app/harness-1-2-ab/memory.events": "low 0\nhigh 0\nmax 51\noom 2\noom_kill 2\noom_group_kill 0\n",
    "app/harness-1-2-ab/memory.stat": "anon 104857600\nfile 41943040\nkernel 5000\nfile_mapped 0\n",
    "app/harness-1-2-ab/cpu.stat": (
        "usage_usec 2000000\nuser_usec 1\nsystem_usec 1\nnr_periods 40\nnr_throttled 30\nthrottled_usec 1500000\n"
    ),
}
VALUES = {
    "memory_bytes": 150 << 20,
    "anon_bytes": 100 << 20,
    "file_bytes": 40 << 20,
    "cpu_s": 2.0,
    "throttled_s": 1.5,
    "throttled_periods": 30,
    "periods": 40,
}
FACTS = {"cgroup": "harness-1-2-ab", "peak_bytes": 200 << 20, "limit_bytes": 256 << 20, "oom_kills": 2}


def system(root: Path, version: int, own: str | None = None, without: str = "\0") -> CgroupProbe:
    mounted, text, files = (V1, V1_CGROUP, V1_FILES) if version == 1 else (V2, "0::/app/harness-1-2-ab\n", V2_FILES)
    written = {f"sys/fs/cgroup/{name}": text for name, text in files.items() if without not in name}
    tree(root, mounted, "0::/\n", written | {f"proc/{PID}/cgroup": text if own is None else own})
    return CgroupProbe(root)


def sampled(probe: CgroupProbe, *pids: int) -> dict[str, float | int | None]:
    probe.start(pids or (PID,))
    return dict(zip(probe.columns, probe.sample(), strict=True))


@pytest.mark.parametrize("version", [1, 2])
def test_a_cgroup_is_read_in_full(tmp_path: Path, version: int) -> None:
    probe = system(tmp_path, version)
    assert probe.unavailable() is None
    assert (sampled(probe), probe.facts()) == (VALUES, FACTS)


@pytest.mark.parametrize("version", [1, 2])
def test_a_process_below_the_jobs_cgroup_belongs_to_it(tmp_path: Path, version: int) -> None:
    text = V1_CGROUP if version == 1 else "0::/app/harness-1-2-ab\n"
    probe = system(tmp_path, version, text.replace("-ab", "-ab/below"))
    assert sampled(probe) == VALUES


@pytest.mark.parametrize(("version", "without"), [(1, "memory"), (2, "memory.")])
def test_what_is_not_there_is_unknown_never_zero(tmp_path: Path, version: int, without: str) -> None:
    found = sampled(system(tmp_path, version, without=without))
    assert {name for name, value in found.items() if value is None} == {"memory_bytes", "anon_bytes", "file_bytes"}


def test_no_limit_is_no_number(tmp_path: Path) -> None:
    probe = system(tmp_path, 1)
    (tmp_path / "sys/fs/cgroup/memory/harness-1-2-ab/memory.limit_in_bytes").write_text("9223372036854771712\n")
    sampled(probe)
    assert "limit_bytes" not in probe.facts()
    other = system(tmp_path / "2", 2)
    (tmp_path / "2/sys/fs/cgroup/app/harness-1-2-ab/memory.max").write_text("max\n")
    sampled(other)
    assert "limit_bytes" not in other.facts()


@pytest.mark.parametrize(
    "own", ["", "0::/\n", "4:memory:/docker/4f\n0::/user.slice\n", "0::/own-harness-1-2\n", "garbage\n\n:\n"]
)
def test_a_process_in_no_cgroup_of_its_own_is_unavailable_with_the_reason(tmp_path: Path, own: str) -> None:
    probe = system(tmp_path, 1, own)
    assert set(sampled(probe).values()) == {None}
    with pytest.raises(Unavailable, match="no cgroup of its own"):
        probe.facts()


def test_the_first_of_the_processes_that_is_in_one_counts(tmp_path: Path) -> None:
    probe = system(tmp_path, 2)
    assert sampled(probe, 1, PID) == VALUES


def test_a_cgroup_that_is_gone_is_known_as_it_was_last_seen(tmp_path: Path) -> None:
    probe = system(tmp_path, 2)
    sampled(probe)
    for path in (tmp_path / "sys/fs/cgroup/app/harness-1-2-ab").iterdir():
        path.unlink()
    assert set(probe.sample()) == {None}
    assert probe.facts() == FACTS


def test_a_process_that_enters_late_is_found_then(tmp_path: Path) -> None:
    probe = system(tmp_path, 2, "0::/\n")
    assert set(sampled(probe).values()) == {None}
    (tmp_path / f"proc/{PID}/cgroup").write_text("0::/app/harness-1-2-ab\n")
    assert probe.sample() == [*VALUES.values()]


def test_a_system_without_cgroups_is_unavailable(tmp_path: Path) -> None:
    assert CgroupProbe(tmp_path).unavailable() == "no cgroup hierarchy is mounted"


@pytest.mark.parametrize(
    ("name", "text", "kills"), [("memory.events", "oom 3\noom_kill 1\n", 1), ("x", "oom_kill 1\n", None)]
)
def test_oom_kills_are_the_cgroups_own_events(tmp_path: Path, name: str, text: str, kills: int | None) -> None:
    (tmp_path / name).write_text(text)
    assert oom_kills(tmp_path) == kills


def test_this_process_is_in_no_jobs_cgroup() -> None:
    probe = CgroupProbe()
    probe.start((os.getpid(),))
    assert len(probe.sample()) == len(probe.columns)
