"""Slices of measured turns: what is summed, when a slice is closed, and what a counter that is missing becomes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from harness.evidence.folder import SLICE_COLUMNS
from harness.worker import slices as module
from harness.worker.slices import LEAST_NS, UNKNOWN, Slices

MS = 1_000_000
COLUMN = {name: place for place, name in enumerate(SLICE_COLUMNS)}


class Scripted:
    """A clock that is set, and counters that follow it: a fifth of the time the process waits, half it computes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0
        self.delay = self.steal = self.cpu = 0
        monkeypatch.setattr(module.time, "process_time_ns", lambda: self.cpu)
        monkeypatch.setattr(module, "kernel_ns", lambda clock: 60_000)
        self.slices = Slices(lambda: self.now)
        monkeypatch.setattr(self.slices._delay, "read", lambda: self.delay)
        monkeypatch.setattr(self.slices._steal, "read", lambda: self.steal)
        self.slices._steal_before = 0

    def turn(self, begin_ms: int, length_ms: int) -> None:
        self.now = begin_ms * MS
        self.slices.resume()
        self.now += length_ms * MS
        self.cpu += length_ms * MS // 2
        self.delay += length_ms * MS // 5
        self.slices.pause()


@pytest.fixture
def scripted(monkeypatch):
    return Scripted(monkeypatch)


def test_turns_are_added_up_until_there_are_fifty_ms_of_them(scripted):
    scripted.turn(100, 20)
    scripted.turn(200, 20)
    assert len(scripted.slices._rows) == 0
    scripted.turn(300, 20)
    assert scripted.slices.rows().tolist() == [[100 * MS, 320 * MS, 30 * MS, 12 * MS, 0, 60_000]]


def test_what_happens_between_turns_belongs_to_no_slice_but_the_steal(scripted):
    scripted.turn(0, 30)
    scripted.cpu, scripted.delay, scripted.steal = 500 * MS, 400 * MS, 10 * MS
    scripted.turn(400, 30)
    (row,) = scripted.slices.rows()
    assert row[COLUMN["cpu_ns"]] == 30 * MS
    assert row[COLUMN["delay_ns"]] == 12 * MS
    assert row[COLUMN["steal_ns"]] == 10 * MS


def test_a_long_turn_is_one_slice_and_the_next_begins_anew(scripted):
    scripted.turn(0, 400)
    scripted.turn(500, 60)
    assert scripted.slices.rows()[:, :3].tolist() == [[0, 400 * MS, 200 * MS], [500 * MS, 560 * MS, 30 * MS]]


def test_the_rest_is_a_slice_without_steal_and_kernel(scripted):
    scripted.turn(0, 50)
    scripted.turn(60, 10)
    rest = [60 * MS, 70 * MS, 5 * MS, 2 * MS, UNKNOWN, UNKNOWN]
    assert scripted.slices.rows()[1:].tolist() == [rest]
    assert scripted.slices.rows()[1:].tolist() == [rest]  # asking again changes nothing


def test_without_a_turn_there_is_no_slice():
    rows = Slices().rows()
    assert (rows.shape, rows.dtype) == ((0, len(SLICE_COLUMNS)), np.int64)


def test_a_counter_that_is_not_there_is_unknown_never_zero(monkeypatch):
    def refused(*args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr(module.os, "open", refused)
    slices = Slices()
    slices.resume()
    time.sleep(LEAST_NS / 1e9)
    slices.pause()
    (row,) = slices.rows()
    assert row[COLUMN["delay_ns"]] == row[COLUMN["steal_ns"]] == UNKNOWN
    assert row[COLUMN["cpu_ns"]] >= 0 and row[COLUMN["kernel_ns"]] > 0


@pytest.mark.parametrize("garbage", [b"", b"12", b"a b c"])
def test_a_counter_that_cannot_be_read_any_more_is_unknown(monkeypatch, garbage):
    slices = Slices()
    slices.resume()
    monkeypatch.setattr(module.os, "pread", lambda *args: garbage)
    monkeypatch.setattr(module, "LEAST_NS", 0)
    slices.pause()
    (row,) = slices.rows()
    assert row[COLUMN["delay_ns"]] == row[COLUMN["steal_ns"]] == UNKNOWN


def test_steal_is_the_mean_of_the_cpus_that_the_process_may_use(monkeypatch):
    """Of cpu1 and cpu3, 2 and 6 ticks of 10 ms."""
    text = b"cpu  9 9 9 9 9 9 9 99 0 0\n" + b"".join(
        b"cpu%d 1 1 1 1 1 1 1 %d 0 0\n" % (cpu, ticks) for cpu, ticks in ((0, 50), (1, 2), (3, 6), (10, 70))
    )
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: {1, 3})
    monkeypatch.setattr(module.os, "sysconf", lambda name: 100)
    assert module._steal_reader()(text) == 40 * MS
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: {5})
    assert module._steal_reader()(text) == UNKNOWN


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs /proc/self/schedstat")
def test_real_counters_tell_work_from_sleep():
    slices = Slices()
    for act in (_compute, time.sleep):
        slices.resume()
        act(LEAST_NS / 1e9)
        slices.pause()
    busy, asleep = slices.rows()
    wall = busy[COLUMN["end_ns"]] - busy[COLUMN["begin_ns"]]
    assert 0 < busy[COLUMN["cpu_ns"]] <= 1.01 * wall, "two clocks, read one after the other"
    assert busy[COLUMN["cpu_ns"]] > 5 * asleep[COLUMN["cpu_ns"]]
    assert min(busy[COLUMN["delay_ns"]], busy[COLUMN["steal_ns"]]) >= 0
    assert busy[COLUMN["end_ns"]] <= asleep[COLUMN["begin_ns"]]


def _compute(seconds: float) -> None:
    """Compute for so much CPU time, however long that takes."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_turns_cost_less_than_a_hundredth_of_a_short_turn():
    """About 4 µs; the bound leaves room for a machine ten times slower. A turn lasts 5 ms at least."""
    slices, times = Slices(), []
    for _ in range(200):
        begin = time.perf_counter_ns()
        slices.resume()
        slices.pause()
        times.append(time.perf_counter_ns() - begin)
    assert np.median(times) < 50_000


def test_the_kernel_is_the_fastest_of_its_runs():
    """A scripted clock: runs of 90, 60 and 70 µs."""
    stamps = iter([0, 90_000, 100_000, 160_000, 200_000, 270_000])
    assert module.kernel_ns(lambda: next(stamps)) == 60_000


@pytest.mark.parametrize(
    "text",
    [
        b"nr_periods 4\nnr_throttled 2\nthrottled_time 7000\nnr_bursts 0\nburst_time 0\n",
        b"usage_usec 9\nuser_usec 5\nsystem_usec 4\nnr_periods 4\nnr_throttled 2\nthrottled_usec 7\n",
    ],
)
def test_time_held_back_is_read_in_both_versions(text):
    assert module.throttled_ns(text) == 7_000


def test_what_a_quota_holds_back_is_no_delay_of_the_hosts(monkeypatch, tmp_path):
    """Of 20 ms that it waited, a quota held it back for 15; another time for more than it waited, on two CPUs."""
    stat = tmp_path / "cpu.stat"
    stat.write_text("throttled_usec 0\n")
    slices = Slices(cpu_stat=str(stat))
    for waited, held in ((20, 15), (5, 8)):
        monkeypatch.setattr(slices._delay, "read", lambda: 0)
        stat.write_text("throttled_usec 0\n")
        slices.resume()
        monkeypatch.setattr(slices._delay, "read", lambda waited=waited: waited * MS)
        stat.write_text(f"throttled_usec {held * 1000}\n")
        slices.pause()
    assert slices.rows()[:, COLUMN["delay_ns"]].sum() == 5 * MS
    slices.close()


def test_a_quota_that_does_not_tell_leaves_the_delay_unknown(tmp_path):
    slices = Slices(cpu_stat=str(tmp_path / "gone"))
    slices.resume()
    slices.pause()
    assert slices.rows()[0, COLUMN["delay_ns"]] == UNKNOWN


def test_files_are_closed(tmp_path):
    (tmp_path / "cpu.stat").touch()
    before = len([*Path("/proc/self/fd").iterdir()])
    slices = Slices(cpu_stat=str(tmp_path / "cpu.stat"))
    slices.close()
    slices.close()
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_a_long_turn_is_split_where_that_is_asked_for(scripted):
    scripted.now = 0
    scripted.slices.resume()
    for now_ms in (20, 49, 60, 70, 130):
        scripted.now = now_ms * MS
        scripted.slices.split()
    scripted.slices.pause()
    assert scripted.slices.rows()[:, :2].tolist() == [[0, 60 * MS], [60 * MS, 130 * MS]]
