"""Rounds between real processes: one runs at a time, in the order that is given; a bad one harms no neighbour."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from harness.errors import BusyError, EvidenceError
from harness.evidence.folder import read_events, read_outcome, read_requests
from harness.launch.base import OnPhase, Terms
from harness.launch.lock import machine_lock
from harness.launch.process import ProcessLauncher
from harness.launch.rounds import Order, Start, take_turns
from harness.spec.outcome import Outcome
from harness.spec.target import Limits
from harness.spec.wire import WarmUpRule

from .helpers import alive, descendants, gone, trial_of, wait_for

TURN_S = 0.01
GOOD = {"good-1": {"latency_ms": 1.0}, "good-2": {"latency_ms": 2.0}}
BAD = {
    "segfault": ("crash", "SIGSEGV", {"fail_at": "measure", "fail_how": "segfault"}),
    "exit0": ("protocol", "exited 0", {"fail_at": "measure", "fail_how": "exit0"}),
    "raise": ("crash", "scripted failure", {"fail_at": "measure", "fail_how": "raise"}),
    "hang": ("timeout", "measure:one", {"fail_at": "measure", "fail_how": "hang"}),
    "oom": ("oom", "", {"fail_at": "measure", "fail_how": "allocate"}),
    "load": ("load_error", "scripted failure", {"fail_at": "load", "fail_how": "raise"}),
    "first": ("crash", "SIGSEGV", {"fail_at": "first", "fail_how": "segfault"}),
}
Scripts = Mapping[str, Mapping[str, object]]


def permuted(number: int, count: int) -> Sequence[int]:
    return np.random.default_rng([5, number]).permutation(count).tolist()


def starts_of(
    base: Path,
    scripts: Scripts,
    *,
    every: Mapping[str, int] | None = None,
    seconds: float = 0.2,
    timeout_s: float = 60.0,
    memory_mib: Mapping[str, int] | None = None,
    fresh: bool = False,
    python: Mapping[str, str] | None = None,
) -> list[Start]:
    """Return one start for each script; `base` is the staging root."""
    made = []
    for name, script in scripts.items():
        job = trial_of(base / name, seconds=seconds, fresh=fresh, **script)
        job = msgspec.structs.replace(job, turn_s=TURN_S)
        terms = Terms(base, Limits(memory_mib=(memory_mib or {}).get(name)), (python or {}).get(name), timeout_s)
        made.append(Start(ProcessLauncher(), base / name, job, terms, (every or {}).get(name, 1)))
    return made


def sat(starts: Sequence[Start], order: Order = permuted, on_phase: OnPhase = lambda phase: None) -> dict[str, Outcome]:
    """Let these jobs take turns, as forks of templates where they are not to be fresh; returns outcomes by folder."""
    with ProcessLauncher().block([(start.job, start.terms) for start in starts]) as launcher:
        outcomes = take_turns([start._replace(launcher=launcher) for start in starts], order, on_phase)
    return {start.folder.name: outcome for start, outcome in zip(starts, outcomes, strict=True)}


class Turn(NamedTuple):
    """A turn as its requests tell: who had it, its number there, begin and end (ns)."""

    who: str
    number: int
    begin: int
    end: int


def turns_of(folder: Path) -> list[Turn]:
    """Return the turns of a trial."""
    start, latency, number = (read_requests(folder, "one", array) for array in ("start", "latency", "round"))
    found = []
    for each in np.unique(number):
        of = number == each
        found.append(Turn(folder.name, int(each), int(start[of].min()), int((start[of] + latency[of]).max())))
    return found


def timeline(base: Path, names: Iterator[str] | Sequence[str]) -> list[Turn]:
    """Return the turns of several trials in the order of time."""
    return sorted((turn for name in names for turn in turns_of(base / name)), key=lambda turn: turn.begin)


REAL = {name: {"latency_ms": 1.0, "clock": "real"} for name in "abc"}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Outcome]]:
    """Let three processes take turns of 10 ms on the real clock; the third rests in every second round."""
    base = tmp_path_factory.mktemp("three")
    return base, sat(starts_of(base, REAL, every={"c": 2}))


def test_one_process_runs_at_a_time(three) -> None:
    base, outcomes = three
    assert [outcome.status for outcome in outcomes.values()] == ["ok"] * 3
    turns = timeline(base, outcomes)
    assert all(earlier.end <= later.begin for earlier, later in itertools.pairwise(turns))
    for name, outcome in outcomes.items():
        (window,) = outcome.windows
        assert window.rounds == round(0.2 / TURN_S) == len(turns_of(base / name))
        assert window.uncounted == window.rounds, "one request of a millisecond begins each turn and does not count"
        assert outcome.spent["waiting"] > 0 and not outcome.fresh


def test_the_order_within_rounds_is_the_one_given(three) -> None:
    """A round of the table is one more than that of the window: in the first one they warm up."""
    base, outcomes = three
    seen = [turn.who for turn in timeline(base, outcomes)]
    rounds, expected = round(0.2 / TURN_S), []
    left = dict.fromkeys(outcomes, rounds)
    for number in range(1, 3 * rounds):
        for place in permuted(number, 3):
            name = "abc"[place]
            begun = number >= 2 if name == "c" else True
            if left[name] and begun and (name != "c" or number % 2 == 0):
                expected.append(name)
                left[name] -= 1
    assert seen == expected
    assert seen[:2] != seen[2:4] or seen[:2] != seen[4:6], "the order changes"


@pytest.mark.parametrize("fresh", [True, False])
def test_between_turns_processes_are_stopped(tmp_path: Path, fresh: bool) -> None:
    """The parent asks for the order of a round while nobody has the turn: then no thread of any job may run."""
    pids: set[int] = set()
    states: set[str] = set()

    def order(number: int, count: int) -> Sequence[int]:
        pids.update(event.pids[0] for name in "ab" for event in read_events(tmp_path / name)[0] if event.pids)
        for pid in pids:
            wait_for(lambda pid=pid: state(pid) == "T", "a job to be stopped", 5.0)
            states.add(state(pid))
        return range(count)

    outcomes = sat(starts_of(tmp_path, {name: REAL[name] for name in "ab"}, fresh=fresh, seconds=0.05), order)
    assert all(outcome.status == "ok" for outcome in outcomes.values())
    assert len(pids) == 2 and states == {"T"}


def state(pid: int) -> str:
    """Return a process's state: R running, S asleep, T stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_fresh_processes_take_turns_too(tmp_path: Path) -> None:
    outcomes = sat(starts_of(tmp_path, {name: REAL[name] for name in "ab"}, fresh=True, seconds=0.05))
    assert all(outcome.status == "ok" and outcome.fresh for outcome in outcomes.values())
    turns = timeline(tmp_path, outcomes)
    assert len(turns) == 10
    assert all(earlier.end <= later.begin for earlier, later in itertools.pairwise(turns))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Outcome]]:
    """Seat all bad ones between two good ones; the greedy one may have 256 MiB."""
    base = tmp_path_factory.mktemp("table")
    good, before = list(GOOD.items()), list(Path("/proc/self/fd").iterdir())
    scripts = dict([good[0], *((name, script) for name, (_, _, script) in BAD.items()), good[1]])
    outcomes = sat(starts_of(base, scripts, timeout_s=0.5, memory_mib={"oom": 256}))
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before), "every pipe is closed"
    return base, outcomes


@pytest.mark.parametrize("name", BAD)
def test_a_bad_one_is_named(table, name: str) -> None:
    base, outcomes = table
    outcome = outcomes[name]
    failure, says, _ = BAD[name]
    assert (outcome.status, outcome.failure) == ("failed", failure), outcome.message
    assert says in outcome.message
    assert read_outcome(base / name) == outcome
    assert not (base / name / "requests").exists()


@pytest.mark.parametrize("name", GOOD)
def test_its_neighbours_are_whole(table, name: str) -> None:
    base, outcomes = table
    outcome = outcomes[name]
    assert outcome.status == "ok", outcome.message
    (window,) = outcome.windows
    assert (window.rounds, window.ended_by, window.steady) == (20, "turns", True)
    assert (read_requests(base / name, "one") == GOOD[name]["latency_ms"] * 1e6).all(), "their clock is virtual"


def test_nobody_is_left_at_the_table(table) -> None:
    _, outcomes = table
    assert not any(alive(pid) for outcome in outcomes.values() for pid in outcome.pids)


def test_a_hang_in_a_turn_ends_at_its_deadline(tmp_path: Path) -> None:
    """The deadline of a turn is the time-out and what warming up may take (1 s)."""
    hang = {"fail_at": "measure", "fail_how": "hang"}
    begin = time.monotonic()
    outcomes = sat(starts_of(tmp_path, {"hang": hang, "a": {}}, timeout_s=0.3))
    assert time.monotonic() - begin < 4.0
    assert outcomes["hang"].failure == "timeout" and outcomes["a"].status == "ok"
    assert 1e9 < outcomes["hang"].launched.wall_ns < 4e9


def test_waiting_for_others_is_not_hanging(tmp_path: Path) -> None:
    """One waits for the other's slow requests, far longer than its own turns may take, which are looked after too."""
    slow, waits = ({"latency_ms": latency_ms, "clock": "real"} for latency_ms in (800.0, 210.0))
    starts = starts_of(tmp_path, {"slow": slow, "a": waits}, seconds=0.1)
    job = msgspec.structs.replace(starts[1].job, warm_up=WarmUpRule(limit_seconds=0.05), turn_s=0.05)
    starts[1] = starts[1]._replace(job=job, terms=starts[1].terms._replace(timeout_s=0.45))
    outcomes = sat(starts, order=lambda number, count: range(count)[::-1])
    assert [outcome.status for outcome in outcomes.values()] == ["ok", "ok"], outcomes["a"].message
    assert outcomes["a"].spent["waiting"] > 2e9


def test_one_that_cannot_be_started_leaves_the_others_their_turns(tmp_path: Path) -> None:
    outcomes = sat(starts_of(tmp_path, {"a": {}, "b": {}}, python={"b": str(tmp_path / "no-python")}))
    assert outcomes["a"].status == "ok"
    assert outcomes["b"].failure == "crash" and "no-python" in outcomes["b"].message


def test_a_folder_that_cannot_be_written_ends_those_already_started(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("a file")
    starts = starts_of(tmp_path, {"a": {}, "b": {}}, fresh=True)
    before = set(descendants(os.getpid()))
    with pytest.raises(EvidenceError, match="cannot write"):
        sat(starts)
    gone(*set(descendants(os.getpid())) - before)
    assert not (tmp_path / "a" / "outcome.json").exists()


def test_an_interrupted_parent_ends_all(tmp_path: Path) -> None:
    scripts = {"a": {}, "hang": {"fail_at": "measure", "fail_how": "hang"}, "b": {}}

    def interrupt(phase: str) -> None:
        if phase == "measure:one":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sat(starts_of(tmp_path, scripts), on_phase=interrupt)
    gone(*(pid for name in scripts for pid in pids_of(tmp_path / name)))
    assert not list(tmp_path.glob("*/outcome.json"))


def pids_of(folder: Path) -> tuple[int, ...]:
    """Return the processes that a trial named when it had loaded its model."""
    return next((event.pids for event in read_events(folder)[0] if event.pids), ())


PARENT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from harness.launch.process import ProcessLauncher
from launch.test_rounds import permuted, starts_of
from harness.launch.rounds import take_turns
starts = starts_of(Path({base!r}), {scripts!r})
with ProcessLauncher().hold("mine") as held, held.block([(start.job, start.terms) for start in starts]) as launcher:
    take_turns([start._replace(launcher=launcher) for start in starts], permuted)
"""


def test_a_killed_parent_leaves_no_process_and_frees_the_machine(tmp_path: Path) -> None:
    scripts = {"a": {}, "hang": {"fail_at": "first", "fail_how": "hang"}}
    tests = str(Path(__file__).parents[1])
    script = PARENT.format(tests=tests, base=str(tmp_path), scripts=scripts)
    parent = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)

    def hanging() -> bool:
        assert parent.poll() is None, parent.stderr.read().decode()
        events = read_events(tmp_path / "hang")[0]
        return bool(events) and events[-1].phase == "first"

    wait_for(hanging, "the turn that does not end")
    below = descendants(parent.pid)
    assert len(below) == 4, "a guard, a template and two forks"
    with pytest.raises(BusyError, match="mine"), machine_lock("theirs"):
        pass
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    gone(*below)
    with machine_lock("theirs"):
        pass
