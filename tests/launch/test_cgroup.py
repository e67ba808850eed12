"""Cgroups on this machine: entered before a program begins, asked, removed with all that lives in them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.evidence.folder import read_events
from harness.launch import cgroup
from harness.launch.cgroup import Group, Refused, new_name
from harness.launch.limits import Means, Place, Quota
from harness.launch.means import find, tidy
from harness.launch.process import ProcessLauncher
from harness.probes.cgroupfs import folders_of, mounted

from .helpers import alive, gone, wait_for
from .limited import cgroups_of, left, require

SHOW = "import os; print(open('/proc/self/cgroup').read(), len(os.sched_getaffinity(0)))"


@pytest.fixture
def means() -> Means:
    require("cpu", "cpuset", "memory")
    return find()


@pytest.fixture
def group(means: Means):
    made = Group(new_name(), {"cpu": Quota(50_000, 100_000), "cpuset": (0,), "memory": 64 << 20}, means)
    made.make()
    yield made
    made.remove()
    assert made.name not in left()


def test_a_program_is_inside_before_it_begins(group: Group) -> None:
    """Its first reading of the CPUs it may use is the limited one."""
    shown = subprocess.run(group.wrapped([sys.executable, "-c", SHOW]), capture_output=True, text=True, check=True)
    lines = [line for line in shown.stdout.splitlines() if line.endswith(group.name)]
    assert len(lines) >= len(set(group.entries)) and shown.stdout.split()[-1] == "1"


def test_the_program_keeps_its_process_and_its_exit_status(group: Group) -> None:
    script = "import os, sys; print(os.getpid()); sys.exit(7)"
    process = subprocess.Popen(group.wrapped([sys.executable, "-c", script]), stdout=subprocess.PIPE, text=True)
    out, _ = process.communicate(timeout=30)
    assert (int(out), process.returncode) == (process.pid, 7)


def test_who_may_not_enter_does_not_begin(group: Group, tmp_path: Path) -> None:
    group.entries = (*group.entries, str(tmp_path / "not" / "there"))
    done = subprocess.run(group.wrapped(["/bin/echo", "began"]), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (71, "") and "there" in done.stderr


def test_whatever_lives_in_it_ends_with_it(group: Group) -> None:
    script = "from subprocess import *; print(Popen(['sleep', '3600'], stdout=DEVNULL, start_new_session=True).pid)"
    done = subprocess.run(group.wrapped([sys.executable, "-c", script]), stdout=subprocess.PIPE, text=True, check=True)
    sleeper = int(done.stdout)
    assert alive(sleeper) and group.holds(sleeper) and not group.holds(os.getpid())
    group.remove()
    gone(sleeper)
    assert group.name not in left()
    group.remove()


def test_one_with_others_below_it_is_removed_too(group: Group) -> None:
    for folder in set(group._folders.values()):
        (folder / "below").mkdir()
    group.remove()
    assert group.name not in left()


def test_a_setting_that_the_kernel_refuses_leaves_nothing(means: Means) -> None:
    bad = Group(new_name(), {"memory": 64 << 20, "cpuset": (4096,)}, means)
    with pytest.raises(Refused) as refused:
        bad.make()
    assert refused.value.controller == "cpuset" and refused.value.reason
    assert bad.name not in left()


def test_a_kill_for_memory_is_counted(group: Group) -> None:
    assert group.oom_kills() == 0
    done = subprocess.run(group.wrapped([sys.executable, "-c", "bytearray(b'x') * (256 << 20)"]))
    assert done.returncode == -signal.SIGKILL
    assert group.oom_kills() == 1
    group.remove()
    assert group.oom_kills() == 1, "as last read"


def test_only_those_whose_process_is_gone_are_swept(means: Means, group: Group) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    start = cgroup._start_of(dead.pid)
    dead.wait()
    mine = cgroup._start_of(os.getpid())
    names = [f"harness-{dead.pid}-{start}-ab", f"harness-{os.getpid()}-{mine + 1}-ab"]
    for name in names:
        Group(name, {"memory": 64 << 20}, means).make()
    sleeper = subprocess.Popen(Group(names[0], {"memory": 1}, means).wrapped(["sleep", "3600"]))
    wait_for(lambda: names[0] in cgroups_of(sleeper.pid), "the sleeper's entry")
    assert {path.name for path in tidy()} >= set(names)
    assert sleeper.wait(10) == -signal.SIGKILL
    assert group.name in left() and not set(names) & set(left())


@pytest.fixture
def version2():
    """A cgroup of version 2 below this process's, without controllers: they may be bound to version 1 here."""
    folder = folders_of("self", mounted()).v2
    if folder is None or not os.access(folder, os.W_OK):
        pytest.skip(f"cgroup v2: {folder or 'not mounted'}: cannot be written")
    made = Group(new_name(), {"memory": None}, Means({"memory": Place("cgroup v2", folder)}))
    made.make()
    yield made, folder / made.name
    made.remove()
    assert not (folder / made.name).exists()


def test_version_2_is_entered_and_removed_with_what_lives_there(version2) -> None:
    group, folder = version2
    shown = subprocess.run(group.wrapped([sys.executable, "-c", SHOW]), capture_output=True, text=True, check=True)
    assert f"0::/{folder.name}" in shown.stdout or f"/{folder.name}\n" in shown.stdout
    sleeper = subprocess.Popen(group.wrapped(["sleep", "3600"]))
    wait_for(lambda: group.holds(sleeper.pid), "the sleeper's entry")
    group.remove()
    assert sleeper.wait(10) == -signal.SIGKILL and not folder.exists()


def test_what_a_killed_run_left_in_version_2_is_swept(version2) -> None:
    _, folder = version2
    left_over = folder.parent / "harness-4194304-7-ab"
    left_over.mkdir()
    assert left_over in tidy() and not left_over.exists() and folder.exists()


@pytest.mark.parametrize("name", ["harness-x", "harness-1", "docker-1-2-ab", "harness-1-2-ab.scope", "my-harness-1-2"])
def test_what_is_not_ours_is_not_swept(name: str) -> None:
    assert not cgroup._is_left(name)


PARENT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from harness.launch.base import Terms, run_job
from harness.launch.process import ProcessLauncher
from harness.probes.cgroupfs import folders_of, mounted
from harness.spec.target import Limits
from launch.helpers import trial_of
folder = Path({base!r}) / "t"
job = trial_of(folder, fail_at="first", fail_how="grandchild")
run_job(ProcessLauncher(), folder, job, Terms(folder.parent, Limits(cpus=0.5, memory_mib=512)))
"""


def test_what_a_killed_run_left_is_removed_by_the_next(means: Means, tmp_path: Path) -> None:
    """Its worker dies with it; without a guard, what the worker started lives on in the cgroup until the next run."""
    before = set(left())
    script = PARENT.format(tests=str(Path(__file__).parents[1]), base=str(tmp_path))
    parent = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)

    def grandchild() -> int | None:
        assert parent.poll() is None, parent.stderr.read().decode()
        events = read_events(tmp_path / "t")[0]
        words = (tmp_path / "t" / "worker.log").read_text().split() if events and events[-1].phase == "first" else []
        return int(words[1]) if len(words) > 1 else None

    pid = wait_for(grandchild, "the process that the worker starts")
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    (name,) = set(left()) - before
    assert name.startswith(f"harness-{parent.pid}-") and name in cgroups_of(pid)
    with ProcessLauncher().hold("theirs"):
        gone(pid)
    assert not set(left()) - before
