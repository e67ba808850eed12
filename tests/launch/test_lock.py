"""The machine's lock between real processes: who holds it, and that death frees it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import BusyError
from harness.launch.lock import lock_path, machine_lock

_HOLD = "from harness.launch.lock import machine_lock\nwith machine_lock('results/theirs'): print('held', flush=True); "


def holder(then: str = "input()") -> subprocess.Popen[str]:
    """Start a process that holds the lock, and return once it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD + then], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_holds_it(_own_lock: Path) -> None:
    first = holder()
    with pytest.raises(BusyError) as caught, machine_lock("results/mine"):
        pass
    first.communicate("\n")
    assert f"process {first.pid} since" in str(caught.value)
    assert "results/theirs" in str(caught.value)
    with machine_lock("results/mine"):
        assert f"process {os.getpid()}" in _own_lock.read_text()
    assert _own_lock.read_text() == ""


def test_being_refused_does_not_erase_who_holds_it(_own_lock: Path) -> None:
    first = holder()
    for _ in range(2):
        with pytest.raises(BusyError, match=f"process {first.pid}"), machine_lock("results/mine"):
            pass
    first.communicate("\n")


def test_a_killed_holder_holds_no_more() -> None:
    first = holder()
    first.send_signal(signal.SIGKILL)
    first.wait()
    with machine_lock("results/mine"):
        pass


def test_a_child_that_outlives_its_parent_still_holds_it() -> None:
    """A killed parent must not leave a child measuring while another run begins."""
    script = (
        "import subprocess\nfrom harness.launch.lock import machine_lock\n"
        "with machine_lock('results/theirs') as lock:\n"
        "    child = subprocess.Popen(['sleep', '3600'], pass_fds=(lock,))\n"
        "    print(child.pid, flush=True)\n    input()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    with pytest.raises(BusyError), machine_lock("results/mine"):
        pass
    descriptor = os.pidfd_open(child)
    os.kill(child, signal.SIGKILL)
    assert select.select([descriptor], [], [], 10)[0]
    os.close(descriptor)
    with machine_lock("results/mine"):
        pass


def test_an_error_inside_frees_it(_own_lock: Path) -> None:
    with pytest.raises(RuntimeError), machine_lock("results/mine"):
        raise RuntimeError
    assert _own_lock.read_text() == ""
    with machine_lock("results/mine"):
        pass


def test_a_lock_that_cannot_be_opened_says_how_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_LOCK", str(tmp_path / "no" / "such" / "lock"))
    with pytest.raises(BusyError, match="HARNESS_LOCK") as caught, machine_lock("results/mine"):
        pass
    assert str(tmp_path) in str(caught.value)


def test_the_lock_is_for_every_user_of_the_machine(_own_lock: Path) -> None:
    before = os.umask(0o077)
    try:
        with machine_lock("results/mine"):
            assert _own_lock.stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_another_users_lock_is_held_though_it_cannot_be_written(_own_lock: Path) -> None:
    for folder in (_own_lock.parent, *_own_lock.parent.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    _own_lock.touch(0o644)
    _own_lock.chmod(0o644)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setuid(65534)
            with machine_lock("results/mine"), pytest.raises(BusyError), machine_lock("results/mine"):
                pass
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_without_a_setting_the_lock_is_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_LOCK")
    assert lock_path().name == "harness.lock" and lock_path().is_absolute()
