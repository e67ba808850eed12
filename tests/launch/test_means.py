"""What is found on systems of all kinds, written as trees on a disk; and what this one has."""

from __future__ import annotations

import os
import subprocess
from functools import partial
from pathlib import Path

import pytest

from harness.launch import cgroup, systemd
from harness.launch import means as module
from harness.launch.cgroup import Group, texts
from harness.launch.limits import Means, Place, Quota, decide
from harness.launch.means import Enforcer, find, here, tidy
from harness.probes import cgroupfs
from harness.spec.target import Limits

from .trees import SCOPE, V1, V1_SELF, V2, folder, refuse, tree

BASE = "sys/fs/cgroup"
HAVE = "cpuset cpu io memory hugetlb pids"


@pytest.fixture
def as_user(monkeypatch):
    """Decide by permissions, as for a user; root of a system with systemd leaves to it what is not handed over."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def folders(tmp_path: Path, *names: str) -> dict[str, str]:
    return {f"{BASE}/{name}/cgroup.procs": "" for name in names}


def v1(tmp_path: Path) -> Path:
    made = folders(tmp_path, "cpu,cpuacct/user", "cpuset", "memory/job", "unified")
    return tree(tmp_path, V1, V1_SELF, made)


def test_version_1_is_used_where_each_controller_has_a_hierarchy(tmp_path: Path):
    base = v1(tmp_path) / BASE
    found = find(tmp_path)
    assert found.missing == {}
    assert found.places == {
        "cpu": Place("cgroup v1", base / "cpu,cpuacct/user"),
        "cpuset": Place("cgroup v1", base / "cpuset"),
        "memory": Place("cgroup v1", base / "memory/job"),
        "cpuacct": Place("cgroup v1", base / "cpu,cpuacct/user"),
    }


def test_what_cannot_be_written_is_missing_with_the_reason(tmp_path: Path, monkeypatch):
    base = v1(tmp_path) / BASE
    monkeypatch.setattr(module.os, "access", lambda path, mode: Path(path) != base / "cpuset")
    found = find(tmp_path)
    assert set(found.places) == {"cpu", "memory", "cpuacct"}
    assert "cpuset cannot be written" in found.missing["cpuset"]
    assert "cgroup v2: none of" in found.missing["cpuset"] and "systemd is not running" in found.missing["cpuset"]


def test_a_system_without_cgroups_says_so(tmp_path: Path):
    found = find(tree(tmp_path, "24 30 0:22 / /proc rw - proc proc rw\n", "", {}))
    assert found.places == {}
    assert found.missing["cpu"] == "cgroup v2 is not mounted; cgroup v1: cpu is not mounted"
    assert find(tmp_path / "nowhere").places == {}


def test_version_2_where_controllers_are_enabled_already(tmp_path: Path):
    files = (
        folder("", HAVE, HAVE) | folder("pod", "cpu memory", "cpu memory") | folder("pod/app", "cpu memory", "", "99")
    )
    root = tree(tmp_path, V2, "0::/pod/app\n", files)
    refuse(root / BASE / "pod/app")
    found = find(root)
    place = Place("cgroup v2", tmp_path / BASE / "pod")
    assert found.places == {"cpu": place, "memory": place}
    assert "cpuset is not mounted" in found.missing["cpuset"]


def test_controllers_are_enabled_in_a_folder_of_the_users(tmp_path: Path, as_user):
    """The scope of a terminal has processes in it, so that controllers are enabled above it."""
    parent = str(Path(SCOPE).parent)
    files = folder("", HAVE, HAVE, "1") | folder(parent, "cpu memory pids", "pids") | folder(SCOPE, "memory pids")
    root = tree(tmp_path, V2, f"0::/{SCOPE}\n", files)
    refuse(root / BASE / SCOPE)
    found = find(root)
    assert found.places["cpu"] == found.places["memory"] == Place("cgroup v2", root / BASE / parent)
    assert (root / BASE / parent / "cgroup.subtree_control").read_text() in ("+cpu", "+memory")


def test_the_only_process_of_its_cgroup_makes_room(tmp_path: Path, monkeypatch, as_user):
    own = tmp_path / BASE / "mine"
    files = folder("", "cpu", "cpu") | folder("mine", "cpu memory", "", f"{os.getpid()}\n")
    root = tree(tmp_path, V2, "0::/mine\n", files)
    monkeypatch.setattr(module.os, "access", lambda path, mode: own in (Path(path), *Path(path).parents))
    write = Path.write_text

    def refuse_with_processes(path: Path, text: str, *args, **kwargs):
        below = list(own.glob("own-harness-*"))
        if path == own / "cgroup.subtree_control" and not below:
            raise OSError(16, "Device or resource busy")
        return write(path, text, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", refuse_with_processes)
    found = find(root)
    assert found.places["memory"] == Place("cgroup v2", own)
    (below,) = own.glob("own-harness-*")
    assert (below / "cgroup.procs").read_text() == str(os.getpid())


def test_others_are_never_moved(tmp_path: Path, monkeypatch, as_user):
    own = tmp_path / BASE / "mine"
    files = folder("", "cpu", "cpu") | folder("mine", "cpu memory", "", f"{os.getpid()}\n77\n")
    root = tree(tmp_path, V2, "0::/mine\n", files)
    refuse(own)
    monkeypatch.setattr(module.os, "access", lambda path, mode: own in (Path(path), *Path(path).parents))
    assert find(root).places == {}
    assert not list(own.glob("own-*"))


def with_systemd(tmp_path: Path, offered: str, uid: int) -> Path:
    manager = f"user.slice/user-{uid}.slice/user@{uid}.service" if uid else ""
    files = folder("", HAVE) | folder(manager, offered) | folder("session-1.scope", "memory", "", "55")
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    return tree(tmp_path, V2, "0::/session-1.scope\n", files)


@pytest.mark.parametrize(
    ("uid", "where"), [(0, "system.slice"), (1000, "user.slice/user-1000.slice/user@1000.service/app.slice")]
)
def test_systemd_makes_scopes_where_no_cgroup_is_ours(tmp_path: Path, monkeypatch, uid: int, where: str):
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    tried = []
    monkeypatch.setattr(systemd.subprocess, "run", lambda line, **how: tried.append(line) or done(0))
    monkeypatch.setattr(module.os, "access", lambda path, mode: uid == 0)
    found = find(with_systemd(tmp_path, "cpu memory pids", uid))
    assert found.places == dict.fromkeys(("cpu", "memory"), Place("systemd scope", tmp_path / BASE / where))
    (line,) = tried
    assert line[:2] == ["systemd-run", "--scope" if uid == 0 else "--user"] and line[-2:] == ["--", "true"]


def done(status: int, stderr: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], status, "", stderr)


def test_a_systemd_that_starts_no_scope_is_not_used(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(module.os, "access", lambda path, mode: False)
    monkeypatch.setattr(systemd.subprocess, "run", lambda line, **how: done(1, "Failed to connect to bus\n"))
    found = find(with_systemd(tmp_path, "cpu memory", 1000))
    assert found.places == {} and "systemd-run: Failed to connect to bus" in found.missing["cpu"]


def test_systemd_itself_is_not_asked_twice_for_what_is_ours(tmp_path: Path, monkeypatch):
    files = folder("", HAVE, "cpu cpuset memory")
    monkeypatch.setattr(systemd, "place", lambda *args: pytest.fail("asked"))
    assert len(find(tree(tmp_path, V2, "0::/\n", files)).places) == 3


def test_what_a_scope_is_started_with(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    settings = {"cpu": Quota(50_000, 100_000), "cpuset": (0, 2), "memory": 256 << 20}
    group = Group(
        "harness-1-2-ab", settings, Means(dict.fromkeys(settings, Place("systemd scope", Path("/cg/app.slice"))))
    )
    assert group.wrapped(["python", "-m", "x"]) == [
        *("systemd-run", "--user", "--scope", "--quiet", "--collect", "--unit=harness-1-2-ab", "--slice=app.slice"),
        *("--property=CPUQuota=50%", "--property=CPUQuotaPeriodSec=100000us", "--property=AllowedCPUs=0,2"),
        *("--property=MemoryAccounting=yes", "--property=MemorySwapMax=0", f"--property=MemoryMax={256 << 20}"),
        *("--", "python", "-m", "x"),
    ]
    assert group.entries == ()
    assert group.files().memory_now == "/cg/app.slice/harness-1-2-ab.scope/memory.current"


def test_a_scope_and_a_cgroup_of_ours_go_together():
    settings = {"cpu": Quota(50_000, 100_000), "memory": 1 << 20}
    places = {"cpu": Place("systemd scope", Path("/s")), "memory": Place("cgroup v1", Path("/m"))}
    command = Group("harness-1-2-ab", settings, Means(places)).wrapped(["true"])
    assert command[0] == "systemd-run" and command[command.index("--") + 1] == "/bin/sh"
    assert command[-3:] == ["/m/harness-1-2-ab/tasks", "--", "true"]


def test_what_is_written_where(tmp_path: Path):
    (tmp_path / "cpuset.effective_mems").write_text("0-1\n")
    own, quota = tmp_path / "own", Quota(50_000, 100_000)
    own.mkdir()
    one, two = (partial(texts, by, own) for by in ("cgroup v1", "cgroup v2"))
    assert one("cpu", quota) == [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "50000")]
    assert two("cpu", quota) == [("cpu.max", "50000 100000")]
    assert one("cpuset", (1, 3)) == [("cpuset.mems", "0-1"), ("cpuset.cpus", "1,3")]
    assert two("cpuset", (1, 3)) == [("cpuset.cpus", "1,3")]
    assert one("memory", 5) == [("memory.limit_in_bytes", "5")]
    assert one("memory", None) == one("cpuacct", None) == two("memory", None) == []
    (own / "memory.memsw.limit_in_bytes").touch()
    assert one("memory", 5) == [("memory.limit_in_bytes", "5"), ("memory.memsw.limit_in_bytes", "5")]
    (own / "memory.swap.max").touch()
    assert two("memory", 5) == [("memory.swap.max", "0"), ("memory.max", "5")]
    assert two("memory", None) == [("memory.swap.max", "0")]


def test_a_group_of_version_2_is_one_folder(tmp_path: Path):
    settings = {"cpu": Quota(50_000, 100_000), "cpuset": (0,), "memory": 1 << 20}
    group = Group("harness-1-2-ab", settings, Means(dict.fromkeys(settings, Place("cgroup v2", tmp_path))))
    group.make()
    own = tmp_path / "harness-1-2-ab"
    assert {path.name: path.read_text() for path in own.iterdir()} == {
        "cpu.max": "50000 100000",
        "cpuset.cpus": "0",
        "memory.max": str(1 << 20),
    }
    assert group.entries == (str(own / "cgroup.procs"),)
    assert group.files().memory_limits == (str(own / "memory.max"),)


def test_a_controller_that_refuses_is_done_without_and_the_others_hold(tmp_path: Path):
    """The cgroup of the CPU quota cannot be made: a file is in its place."""
    (tmp_path / "memory").mkdir()
    (tmp_path / "cpu").touch()
    enforcer = Enforcer()
    enforcer.means = Means({name: Place("cgroup v2", tmp_path / name) for name in ("cpu", "memory")})
    resources, group = enforcer.grant(Limits(cpus=0.5, memory_mib=64), None)
    assert resources.unenforced == ("cpus",) and "Not a directory" in resources.limits["cpus"]
    assert resources.limits["memory_mib"].startswith("cgroup v2, memory")
    assert [path.parent.name for path in (tmp_path / "memory").glob("*/memory.max")] == [group.name]


def test_what_is_found_is_looked_up_once_and_only_for_limits(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "find", lambda: asked.append(1) or Means())
    enforcer = Enforcer()
    assert enforcer.grant(Limits(), None).group is None and asked == []
    for _ in range(2):
        enforcer.grant(Limits(memory_mib=1), None)
        assert enforcer.forkable(Limits(memory_mib=1))
    assert asked == [1]


def test_a_fork_cannot_be_put_into_a_scope():
    enforcer = Enforcer()
    enforcer.means = Means({"memory": Place("systemd scope", Path("/s"))})
    assert not enforcer.forkable(Limits(memory_mib=1)) and enforcer.forkable(Limits(cpus=0.5))


def test_leftovers_are_looked_for_wherever_a_cgroup_could_be_made(tmp_path: Path):
    """An earlier run may have used an outer folder; those of a process that lives stay, and those of others."""
    root = tree(tmp_path, V2, f"0::/{SCOPE}\n", folder(SCOPE, "memory"))
    base, gone_ = root / BASE, "harness-4194304-7-ab"
    alive = f"harness-{os.getpid()}-{cgroup._start_of(os.getpid())}-ab"
    places = [Path(SCOPE), Path(SCOPE).parent, Path()]
    for place in places:
        for name in (gone_, f"own-{gone_}", alive, "docker-4194304-7"):
            (base / place / name).mkdir()
    assert len(tidy(root)) == 6
    for place in places:
        assert {path.name for path in (base / place).glob("*-*-*")} >= {alive, "docker-4194304-7"}
        assert not list((base / place).glob(f"*{gone_}"))


def test_elsewhere_only_old_and_empty_leftovers_are_removed(tmp_path: Path, monkeypatch):
    """Such as of a run from another terminal; a process of another container only seems not to live."""
    root = tree(tmp_path, V2, f"0::/{SCOPE}\n", folder(SCOPE, "memory"))
    elsewhere = root / BASE / "system.slice" / "cron.service"
    name = "harness-4194304-7-ab"
    for part in ("empty", "inhabited/below"):
        (elsewhere / part / name).mkdir(parents=True)
    (elsewhere / "inhabited/below" / name / "a file that keeps it").touch()
    (elsewhere / "mine").mkdir()
    assert tidy(root) == [], "they are younger than a minute"
    monkeypatch.setattr(cgroup, "_YOUNG_S", -1.0)
    assert tidy(root) == [elsewhere / "empty" / name]
    assert (elsewhere / "inhabited/below" / name).exists() and (elsewhere / "mine").exists()


@pytest.mark.parametrize(
    ("path", "below"),
    [("/docker/4f", ""), ("/docker/4f/a/b", "a/b"), ("/docker/4f2", None), ("/", None), ("/../x", None), ("", None)],
)
def test_a_path_is_below_what_is_mounted_or_not_there(path: str, below: str | None):
    mount = cgroupfs.Mount(Path("/m"), "/docker/4f", 1, ("memory",))
    found = cgroupfs._below(mount, path)
    assert found == (None if below is None else Path("/m") / below)


def test_a_mount_point_with_a_blank_in_its_name():
    (mount,) = cgroupfs.mounts("41 31 0:38 / /sys/fs/my\\040cgroup rw - cgroup2 cgroup2 rw\n")
    assert mount.folder == Path("/sys/fs/my cgroup")


def test_this_machine_is_described_whatever_it_has():
    found = find()
    assert set(found.places) | set(found.missing) >= {"cpu", "cpuset", "memory"}
    decision = decide(Limits(cpus=0.5, memory_mib=64), found, here())
    assert set(decision.settings) <= set(found.places)
