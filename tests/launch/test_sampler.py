"""A probe that is to be read often has a thread and a file of its own, also beside a job that takes turns."""

from __future__ import annotations

import threading
import time
from typing import ClassVar

import numpy as np
import pytest

from harness.evidence.folder import read_telemetry, telemetry_file
from harness.launch.base import Terms
from harness.launch.process import ProcessLauncher
from harness.launch.rounds import Start, take_turns
from harness.launch.sampler import Sampler
from harness.probes import base
from harness.probes.base import Probes

from .helpers import launched, trial_of


class Fast:
    """Counts its samples; says who asked."""

    period_s = 0.01
    columns: ClassVar = {"count": "1", "pids": "1"}
    device = ""

    def about(self, device):
        self.device = device

    def unavailable(self):
        return None

    def start(self, pids):
        self.pids = tuple(pids)
        self.count, self.threads = 0, set()

    def sample(self):
        self.count += 1
        self.threads.add(threading.current_thread() is threading.main_thread())
        return [self.count, self.pids[0]]

    def facts(self):
        return {"device": self.device, "in_the_main_thread": True in self.threads}

    def close(self):
        Fast.closed = True


class Failing(Fast):
    def sample(self):
        raise RuntimeError("device lost")


@pytest.fixture
def registered(monkeypatch):
    def register(**probes):
        monkeypatch.setattr(base.plugins, "names", lambda group: tuple(probes))
        monkeypatch.setattr(base.plugins, "load", lambda group, name: probes[name])
        Fast.closed = False

    return register


def test_a_fast_probe_has_a_file_of_its_own_and_no_column_in_the_common_one(registered, tmp_path):
    registered(fast=Fast)
    outcome = launched(tmp_path / "t", trial_of(tmp_path / "t", seconds=0.3, latency_ms=5, clock="real"))
    assert outcome.status == "ok", outcome.message
    found = read_telemetry(tmp_path / "t", "fast")
    assert set(found) == {"t_ns", "count", "pids"} and len(found["count"]) > 10
    assert (np.diff(found["t_ns"]) > 0).all()
    assert set(found["pids"]) == {outcome.pids[0]}
    assert (tmp_path / "t" / "telemetry.csv").read_text().splitlines()[0] == "t_ns"
    record = outcome.launched.probes["fast"]
    assert record.facts == {"device": "cpu", "in_the_main_thread": False}
    assert Fast.closed


def test_a_job_that_takes_turns_is_sampled_all_the_time(registered, tmp_path):
    registered(fast=Fast)
    job = trial_of(tmp_path / "t", seconds=0.4, latency_ms=2, clock="real")
    starts = [Start(ProcessLauncher(), tmp_path / name, job, Terms(tmp_path)) for name in "ab"]
    outcomes = take_turns(starts, lambda number, count: range(count))
    assert [outcome.status for outcome in outcomes] == ["ok", "ok"]
    for start in starts:
        stamps = read_telemetry(start.folder, "fast")["t_ns"] / 1e9
        assert (len(stamps) - 1) / (stamps[-1] - stamps[0]) > 10


def test_a_fast_probe_that_fails_costs_its_own_values_only(registered, tmp_path):
    registered(bad=Failing, fast=Fast)
    outcome = launched(tmp_path / "t", trial_of(tmp_path / "t"))
    assert outcome.status == "ok", outcome.message
    assert outcome.launched.probes["bad"].unavailable == "failed: RuntimeError: device lost"
    assert np.isnan(read_telemetry(tmp_path / "t", "bad")["count"]).all()
    assert len(read_telemetry(tmp_path / "t", "fast")["count"]) > 0


def test_nothing_is_sampled_after_the_end_and_no_thread_is_left(registered, tmp_path):
    registered(fast=Fast)
    before, probes = threading.active_count(), Probes("cuda:1")
    probes.start((7,))
    sampler = Sampler(tmp_path, probes)
    until = time.monotonic() + 30
    while len(read_telemetry(tmp_path, "fast").get("count", ())) < 3 and time.monotonic() < until:
        time.sleep(0.005)
    sampler.stop()
    sampler.stop()
    size = (tmp_path / telemetry_file("fast")).stat().st_size
    assert threading.active_count() == before
    assert probes.records()["fast"].facts["device"] == "cuda:1"
    assert (tmp_path / telemetry_file("fast")).stat().st_size == size > 0


def test_a_file_that_cannot_be_made_is_an_error(registered, tmp_path):
    registered(fast=Fast)
    with pytest.raises(OSError, match="gone"):
        Sampler(tmp_path / "gone", Probes())


@pytest.mark.parametrize("text", ["", "t_ns,count\n", "t_ns,count\n1,2\n3", "t_ns,count\n1,x\n", "\xff\x00"])
def test_telemetry_that_was_cut_off_or_damaged_gives_what_is_whole(tmp_path, text):
    (tmp_path / telemetry_file("p")).write_text(text, encoding="latin-1")
    found = read_telemetry(tmp_path, "p")
    assert [len(values) for values in found.values()] in ([], [0, 0], [1, 1])
    assert read_telemetry(tmp_path, "other") == {}
