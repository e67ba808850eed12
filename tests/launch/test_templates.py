"""Templates: forks of one interpreter that imported the runtime; what they share, and what happens when it dies."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from harness.evidence.folder import read_events, read_job, set_aside
from harness.launch import template as template_module
from harness.launch.base import Launcher, Terms, run_job
from harness.launch.process import ProcessLauncher
from harness.launch.rounds import Start, take_turns
from harness.spec.outcome import Outcome
from harness.spec.target import Limits
from harness.spec.wire import Trial

from .helpers import alive, gone, launched, trial_of, wait_for
from .installed import install
from .test_rounds import sat, starts_of

MIB = 1 << 20
REMEMBERS = """
import os

from harness.runtimes.fake import FakeRuntime

IMPORTED_BY = os.getpid()
LOADED = []


class MadeRuntime(FakeRuntime):
    def load(self, variant, *args):
        LOADED.append(variant.path)
        os.environ["LEFT_BEHIND"] = variant.path
        os.chdir(os.path.dirname(variant.path))
        return super().load(variant, *args)

    def versions(self):
        cpus = len(os.sched_getaffinity(0))
        kinds = sorted(os.readlink(f"/proc/self/fd/{each}").partition(":")[0] for each in range(64) if is_open(each))
        held = " ".join(kind for kind in kinds if kind in ("pipe", "socket"))
        return {"imported_by": str(IMPORTED_BY), "loaded": str(len(LOADED)), "cpus": str(cpus), "held": held}


def is_open(descriptor):
    return os.path.lexists(f"/proc/self/fd/{descriptor}")
"""
STARTS_ANOTHER = """
import subprocess

from harness.runtimes.fake import FakeRuntime


class MadeRuntime(FakeRuntime):
    def load(self, *args):
        print(subprocess.Popen(["sleep", "3600"]).pid, flush=True)
        return super().load(*args)
"""
FORKS_ANOTHER = """
import os
import time

from harness.runtimes.fake import FakeRuntime


class MadeRuntime(FakeRuntime):
    def load(self, *args):
        pid = os.fork()
        if pid == 0:
            time.sleep(3600)
        print(pid, flush=True)
        return super().load(*args)
"""


@contextmanager
def block(*jobs: tuple[Trial, Terms]) -> Iterator[Launcher]:
    with ProcessLauncher().block(jobs) as launcher:
        yield launcher


def trial_on(folder: Path, runtime: str, **script: object) -> Trial:
    """Return a trial that may be a fork, on the runtime of this name."""
    job = trial_of(folder, fresh=False, **script)
    return msgspec.structs.replace(job, target=msgspec.structs.replace(job.target, runtime=runtime))


def templates() -> list[int]:
    """Return this process's living templates; their forks have the same command line, but another parent."""
    found = map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
    named = (pid for pid in found if alive(pid))
    return [pid for pid in named if b"harness.worker.template" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_forks_share_an_import_and_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "remembers", REMEMBERS)
    first, second = (trial_on(tmp_path / name, "remembers") for name in "ab")
    first = msgspec.structs.replace(first, cpus=(min(os.sched_getaffinity(0)),))
    terms = Terms(tmp_path)
    with block((first, terms), (second, terms)) as launcher:
        outcomes = [run_job(launcher, tmp_path / name, job, terms) for name, job in (("a", first), ("b", second))]
    assert [outcome.status for outcome in outcomes] == ["ok", "ok"], outcomes[0].message
    one, other = (outcome.versions for outcome in outcomes)
    assert one["imported_by"] == other["imported_by"], "one interpreter imported it for both"
    assert int(one["imported_by"]) not in {pid for outcome in outcomes for pid in outcome.pids}
    assert one["loaded"] == other["loaded"] == "1", "what the first loaded is not in the second"
    assert (one["cpus"], other["cpus"]) == ("1", str(len(os.sched_getaffinity(0))))
    assert not any(outcome.fresh for outcome in outcomes)


def test_a_fork_holds_its_own_pipes_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the template's channel, nor how the forks before it will have ended."""
    install(tmp_path, monkeypatch, "remembers", REMEMBERS)
    starts = starts_of(tmp_path, {"a": {}, "b": {}, "c": {}})
    starts = [start._replace(job=trial_on(start.folder, "remembers")) for start in starts]
    outcomes = sat(starts)
    assert [outcome.versions["held"] for outcome in outcomes.values()] == ["pipe pipe"] * 3


def test_a_fresh_one_in_a_block_imports_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "remembers", REMEMBERS)
    fork, terms = trial_on(tmp_path / "a", "remembers"), Terms(tmp_path)
    fresh = msgspec.structs.replace(fork, fresh=True)
    with block((fork, terms), (fresh, terms)) as launcher:
        forked, alone = (run_job(launcher, tmp_path / name, job, terms) for name, job in (("a", fork), ("b", fresh)))
    assert (forked.fresh, alone.fresh) == (False, True)
    assert alone.versions["imported_by"] == str(alone.pids[0]) != forked.versions["imported_by"]


def test_threads_that_are_set_before_the_import_have_a_template_each(tmp_path: Path) -> None:
    jobs = [
        (trial_of(tmp_path / n, fresh=False), Terms(tmp_path, Limits(cpus=c))) for n, c in (("a", 1.0), ("b", None))
    ]
    kinds = min(2, len(os.sched_getaffinity(0)))
    with block(*jobs, *jobs):
        wait_for(lambda: len(templates()) == kinds, "templates that have begun")
    assert templates() == []


def test_jobs_that_are_all_fresh_have_none(tmp_path: Path) -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()
    with block((trial_of(tmp_path / "a", fresh=True), Terms(tmp_path))):
        assert children.read_text() == before


@pytest.mark.parametrize(("source", "says"), [("import libx", "No module named 'libx'"), (None, "nowhere")])
def test_a_runtime_that_cannot_be_imported_fails_in_each_job_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | None, says: str
) -> None:
    name = "broken" if source else "nowhere"
    if source:
        install(tmp_path, monkeypatch, name, source)
    starts = [start._replace(job=trial_on(start.folder, name)) for start in starts_of(tmp_path, {"a": {}, "b": {}})]
    good = starts_of(tmp_path, {"good": {}})
    outcomes = sat([*starts, *good])
    assert outcomes["good"].status == "ok"
    alone = launched(tmp_path / "alone", trial_on(tmp_path / "alone", name))
    for outcome in (outcomes["a"], outcomes["b"]):
        assert (outcome.failure, outcome.message) == ("load_error", alone.message)
        assert says in outcome.message
    assert (outcomes["a"].phase, outcomes["a"].by) == ("import", "child")


def test_an_interpreter_that_is_not_there_is_named_by_each_job(tmp_path: Path) -> None:
    outcomes = sat(starts_of(tmp_path, {"a": {}, "b": {}}, python={"a": "/no/python"}))
    assert outcomes["a"].failure == "crash" and "/no/python" in outcomes["a"].message
    assert outcomes["b"].status == "ok"


def killed_in_a_block(base: Path, when: Callable[[str], bool]) -> dict[str, Outcome]:
    """Kill the template of a block as soon as `when` holds of a phase."""
    killed: list[int] = []

    def kill(phase: str) -> None:
        if when(phase) and not killed:
            killed.extend(templates())
            os.kill(killed[0], signal.SIGKILL)

    scripts = {"a": {}, "hang": {"fail_at": "measure", "fail_how": "hang"}, "b": {}}
    return sat(starts_of(base, scripts), on_phase=kill)


def test_forks_end_with_their_template_and_are_named_and_the_next_block_works(tmp_path: Path) -> None:
    outcomes = killed_in_a_block(tmp_path / "one", lambda phase: phase == "measure:one")
    for outcome in outcomes.values():
        assert (outcome.status, outcome.failure) == ("failed", "crash")
        assert "SIGKILL" in outcome.message and outcome.phase == "measure:one"
    gone(*(pid for outcome in outcomes.values() for pid in outcome.pids))
    again = sat(starts_of(tmp_path / "two", {"a": {}, "b": {}}))
    assert all(outcome.status == "ok" and not outcome.fresh for outcome in again.values())


def test_trials_of_a_template_that_died_before_they_began_are_fresh(tmp_path: Path) -> None:
    job, terms = trial_of(tmp_path / "a", fresh=False), Terms(tmp_path)
    with block((job, terms)) as launcher:
        first = run_job(launcher, tmp_path / "a", job, terms)
        for pid in templates():
            os.kill(pid, signal.SIGKILL)
        second = run_job(launcher, tmp_path / "b", trial_of(tmp_path / "b", fresh=False), terms)
    assert (first.status, first.fresh) == ("ok", False)
    assert (second.status, second.fresh) == ("ok", True), second.message


def test_a_template_that_answers_too_late_does_no_job_a_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, terms = trial_of(tmp_path / "a", fresh=False, latency_ms=20.0, clock="real"), Terms(tmp_path)
    with block((job, terms)) as launcher:
        assert run_job(launcher, tmp_path / "a", job, terms).status == "ok"
        monkeypatch.setattr(template_module, "_ANSWER_S", 0.1)
        (stopped,) = templates()
        os.kill(stopped, signal.SIGSTOP)
        outcome = run_job(launcher, tmp_path / "b", job, terms)
        gone(stopped)
    assert (outcome.status, outcome.fresh) == ("ok", True)
    assert [event.phase for event in read_events(tmp_path / "b")[0]].count("hello") == 1


def test_a_forks_memory_limit_is_its_own(tmp_path: Path) -> None:
    """Two forks of one template touch 300 MiB; only one of them may."""
    outcomes = sat(
        starts_of(tmp_path, {"less": {"memory_mib": 300}, "more": {"memory_mib": 300}}, memory_mib={"less": 256})
    )
    assert outcomes["less"].failure == "oom"
    assert outcomes["more"].status == "ok"
    assert outcomes["more"].memory.anon_bytes > 300 * MIB


@pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "fork"])
@pytest.mark.parametrize("how", ["segfault", "raise"])
def test_what_a_process_started_ends_with_it_though_it_ended_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool, how: str
) -> None:
    """Else it would hold the machine's lock, and work beside the cells still to be measured."""
    install(tmp_path, monkeypatch, "another", STARTS_ANOTHER)
    job, terms = trial_on(tmp_path / "a", "another", fail_at="first", fail_how=how), Terms(tmp_path)
    job = msgspec.structs.replace(job, fresh=fresh)
    with block((job, terms)) as launcher:
        outcome = run_job(launcher, tmp_path / "a", job, terms)
        assert outcome.status == "failed"
        gone(int((tmp_path / "a" / "worker.log").read_text().split()[0]))


@pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "fork"])
def test_a_crash_is_seen_though_a_process_that_was_forked_keeps_the_pipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    install(tmp_path, monkeypatch, "forks", FORKS_ANOTHER)
    script = {"fail_at": "measure", "fail_how": "segfault"}
    bad, good = starts_of(tmp_path, {"bad": script, "good": {}}, fresh=fresh)
    job = trial_on(bad.folder, "forks", **script)
    outcomes = sat([bad._replace(job=msgspec.structs.replace(job, fresh=fresh)), good])
    assert (outcomes["bad"].failure, outcomes["good"].status) == ("crash", "ok"), outcomes["bad"].message
    assert "SIGSEGV" in outcomes["bad"].message
    gone(int((tmp_path / "bad" / "worker.log").read_text().split()[0]))


def test_a_folder_of_a_fork_travels(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    first = sat(starts_of(here, {"a": {"sigma": 0.2}, "b": {"latency_ms": 2.0}}))
    shutil.copytree(here, there)
    shutil.rmtree(here)
    jobs = {name: read_job(there / name) for name in first}
    for name in jobs:
        set_aside(there / name)
    terms = Terms(there)
    with block(*((job, terms) for job in jobs.values())) as launcher:
        starts = [Start(launcher, there / name, job, terms) for name, job in jobs.items()]
        again = take_turns(starts, lambda number, count: range(count))
    assert [outcome.windows for outcome in again] == [outcome.windows for outcome in first.values()]
    assert not any(outcome.fresh for outcome in again)


def test_a_fork_marks_its_phases_and_keeps_its_own_log(tmp_path: Path) -> None:
    outcomes = sat(starts_of(tmp_path, {"a": {"fail_at": "load", "fail_how": "flood"}, "b": {}}))
    assert all(outcome.status == "ok" for outcome in outcomes.values())
    assert (tmp_path / "a" / "worker.log").stat().st_size > MIB > (tmp_path / "b" / "worker.log").stat().st_size
    phases = [event.phase for event in read_events(tmp_path / "b")[0]]
    assert phases[:4] == ["hello", "import", "load", "loaded"] and phases[-1] == "close"
