"""What a fresh process did over its life: phases, memory, steps to the first response."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from harness.analyse.fresh import steps
from harness.analyse.reader import open_run
from harness.analyse.timeline import phases, timeline
from harness.spec.outcome import Launched, Memory

from .handwritten import MS, cold, run_folder

MIB = 1 << 20
EVENTS = {"hello": 300, "import": 310, "load": 400, "loaded": 450, "first": 460, "close": 900}


def started(run: Path, number: int, load_ms: float = 40.0, events: dict[str, int] = EVENTS, **outcome: object) -> Path:
    """Write a cold trial that began at 100 ms of the clock, and its marks (ms)."""
    told = {
        "launched": Launched(launcher="process", wall_ns=900 * MS, begin_ns=100 * MS),
        "load_ns": int(load_ms * MS),
        "first_inference_ns": 5 * MS,
        "memory": Memory(baseline_bytes=20 * MIB, loaded_bytes=60 * MIB, peak_bytes=75 * MIB),
        "begin_ns": 300 * MS,
        "duration_ns": 700 * MS,
    }
    folder = cold(run, "net", number, **(told | outcome))
    lines = (f'{{"phase":"{name}","t_ns":{at * MS}}}\n' for name, at in events.items())
    (folder / "events.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return run_folder(tmp_path, "net")


def first(run: Path):
    return open_run(run).cold("net@box")[0]


def test_phases_follow_each_other_from_the_start_of_the_process(run):
    started(run, 1)
    found = phases(first(run))
    assert [each.name for each in found] == ["start", *EVENTS]
    assert found[0] == ("start", 0.0, pytest.approx(0.2))
    assert (found[-1].begin_s, found[-1].end_s) == (pytest.approx(0.8), pytest.approx(0.9))
    assert all(one.end_s == two.begin_s for one, two in pairwise(found))


def test_memory_is_what_was_seen_and_what_the_child_read_itself(run):
    folder = started(run, 1)
    (folder / "telemetry.csv").write_text(
        f"t_ns,process.rss_bytes\n{150 * MS},{5 * MIB}\n{500 * MS},{70 * MIB}\n{990 * MS},\n{991 * MS}"
    )
    found = timeline(first(run))
    assert found.mib.tolist() == [5, 20, 60, 70], "an unknown value and a line that was cut off are left out"
    assert found.t_s.tolist() == pytest.approx([0.05, 0.3, 0.35, 0.4])
    assert found.peak_mib == 75


def test_without_telemetry_the_childs_own_readings_remain(run):
    started(run, 1)
    assert timeline(first(run)).mib.tolist() == [20, 60]


def test_nothing_is_made_up_where_nothing_is_known(run):
    folder = started(run, 1, memory=Memory())
    (folder / "telemetry.csv").write_bytes(b"\xff\x00 nothing of use\n")
    assert timeline(first(run)) is None
    started(run, 2, launched=None)
    second = open_run(run).cold("net@box")[1]
    assert timeline(second) is None and phases(second) == ()


def test_a_garbled_event_is_left_out(run):
    with (started(run, 1) / "events.jsonl").open("a") as file:
        file.write('nonsense\n{"phase":"more","t_ns":"x"}\n')
    assert [each.name for each in phases(first(run))] == ["start", *EVENTS]


def test_the_steps_of_one_start_have_no_interval(run):
    started(run, 1)
    found = steps(open_run(run).cold("net@box"))
    assert {name: round(step.p50_ms, 6) for name, step in found.items()} == {
        "start the interpreter": 200.0,
        "import the runtime": 90.0,
        "load the model": 40.0,
        "first inference": 5.0,
    }
    assert all((step.low_ms, step.high_ms, step.n) == (None, None, 1) for step in found.values())


def test_six_starts_bound_the_median_of_a_step(run):
    for number in range(1, 7):
        started(run, number, load_ms=10.0 * number)
    found = steps(open_run(run).cold("net@box"))["load the model"]
    assert (found.p50_ms, found.low_ms, found.high_ms, found.n) == (35.0, 10.0, 60.0, 6)


def test_forks_and_failures_are_no_starts(run):
    started(run, 1, fresh=False)
    started(run, 2, status="failed", failure="crash")
    assert steps(open_run(run).cold("net@box")) == {}
