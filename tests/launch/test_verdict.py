"""How the end of a child is named, case by case."""

from __future__ import annotations

import signal

import pytest

from harness.launch import verdict

MIB = 1 << 20
LIMIT = 256 * MIB
NEAR = 210 * MIB
FAR = 100 * MIB


@pytest.mark.parametrize(
    ("returncode", "kernel_oom", "limit", "peak", "failure", "says"),
    [
        (0, False, None, None, "protocol", "exited 0 in phase 'load' without leaving an outcome"),
        (1, False, None, None, "crash", "exited with status 1 in phase 'load'; see worker.log"),
        (3, True, LIMIT, NEAR, "crash", "exited with status 3 in phase 'load'; see worker.log"),
        (-signal.SIGSEGV, False, None, None, "crash", "ended by SIGSEGV in phase 'load'"),
        (-signal.SIGSEGV, False, LIMIT, FAR, "crash", "ended by SIGSEGV in phase 'load'"),
        (-signal.SIGSEGV, False, LIMIT, None, "crash", "ended by SIGSEGV in phase 'load'"),
        (-signal.SIGSEGV, False, LIMIT, NEAR, "oom", "SIGSEGV at its memory limit in phase 'load'"),
        (-signal.SIGABRT, False, LIMIT, NEAR, "oom", "SIGABRT at its memory limit in phase 'load'"),
        (-signal.SIGBUS, False, LIMIT, NEAR, "crash", "ended by SIGBUS in phase 'load'"),
        (-signal.SIGKILL, True, None, None, "oom", "killed by the kernel for memory in phase 'load'"),
        (-signal.SIGKILL, False, LIMIT, NEAR, "crash", "ended by SIGKILL in phase 'load'"),
        (-signal.SIGTERM, True, None, None, "crash", "ended by SIGTERM in phase 'load'"),
        (-99, False, None, None, "crash", "ended by signal 99 in phase 'load'"),
    ],
)
def test_an_end_without_an_outcome(
    returncode: int, kernel_oom: bool, limit: int | None, peak: int | None, failure: str, says: str
) -> None:
    outcome = verdict.without_outcome(returncode, "load", kernel_oom, limit, peak)
    assert (outcome.status, outcome.failure, outcome.message) == ("failed", failure, says)
    assert (outcome.phase, outcome.by) == ("load", "launcher")


def test_the_limit_counts_from_four_fifths() -> None:
    at = verdict.without_outcome(-signal.SIGABRT, "load", False, 1000, 800)
    below = verdict.without_outcome(-signal.SIGABRT, "load", False, 1000, 799)
    assert (at.failure, below.failure) == ("oom", "crash")


def test_before_any_mark_the_phase_is_called_start() -> None:
    outcome = verdict.without_outcome(0, "", False, None, None)
    assert outcome.message == "exited 0 in phase 'start' without leaving an outcome"
    assert outcome.phase == ""


def test_kills_in_its_own_cgroup_are_oom_whatever_followed() -> None:
    one, two = (verdict.out_of_memory(kills, "load") for kills in (1, 2))
    assert (one.status, one.failure, one.phase, one.by) == ("failed", "oom", "load", "launcher")
    assert one.message == "it was killed by the kernel at its memory limit in phase 'load'"
    assert two.message == "2 of its processes were killed by the kernel at its memory limit in phase 'load'"
    assert "'start'" in verdict.out_of_memory(1, "").message


def test_a_time_out_names_phase_and_seconds() -> None:
    outcome = verdict.timed_out("measure:one", 61.2)
    assert (outcome.failure, outcome.phase) == ("timeout", "measure:one")
    assert outcome.message == "no end of phase 'measure:one' after 61 s; stopped"


def test_an_interpreter_that_cannot_be_started() -> None:
    outcome = verdict.not_started("/no/python", FileNotFoundError(2, "No such file or directory"))
    assert outcome.failure == "crash"
    assert outcome.message == "/no/python cannot be started: No such file or directory (target: python)"


def test_only_one_status_says_that_the_disk_is_full() -> None:
    assert [code for code in range(-64, 256) if verdict.disk_full(code)] == [74]
