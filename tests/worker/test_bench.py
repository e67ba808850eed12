"""What a trial's bench makes of a session on a device: feeds placed once, work before each request, times kept."""

from __future__ import annotations

import time
from contextlib import closing, nullcontext
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from harness.evidence.folder import DEVICE, LATENCY, EventLog, read_requests
from harness.runtimes.base import Tensor
from harness.scenarios.closed_loop import Length, durations, run_window, timed
from harness.worker.bench import TrialBench
from harness.worker.calls import after
from harness.worker.ledger import Ledger
from harness.worker.turns import Turns

from ..launch.helpers import trial_of

ROWS = {"x": np.arange(8, dtype=np.float32).reshape(8, 1)}


class OnDevice:
    """A session on a device, as far as a bench sees one; each call takes the device 7 ns."""

    inputs = (Tensor("x", np.dtype("float32"), ("batch", 1)),)
    outputs = ()
    clock = staticmethod(time.perf_counter_ns)
    scope = nullcontext

    def __init__(self):
        self.events, self.calls = [], 0

    def place(self, feed):
        self.events.append("place")
        return SimpleNamespace(rows=len(feed["x"]))

    def before(self):
        self.events.append("before")

    def infer(self, feed):
        assert feed.rows
        self.events.append("infer")
        self.calls += 1

    def device_ns(self, count):
        assert count <= self.calls
        self.calls = 0
        return np.full(count, 7, dtype=np.int64)


@pytest.fixture
def bench(tmp_path: Path):
    session = OnDevice()
    with closing(EventLog(tmp_path)) as log:
        made = TrialBench(trial_of(tmp_path / "t"), log, session, ROWS, Turns(), Ledger(""), 1000)
        made.session = session
        yield made


def test_feeds_are_placed_once_and_something_is_done_before_each(bench):
    feeds = bench.feeds(2)
    for feed in islice(feeds, 9):
        bench.infer(feed)
    assert bench.session.events == ["place"] * 4 + ["before", "infer"] * 9
    assert bench.inputs_bytes >= sum(array.nbytes for array in ROWS.values())


def test_times_of_the_device_are_kept_beside_those_of_the_host(bench, tmp_path):
    run_window(bench, "one", "one", 1, Length(0.02, 0.005, 400))
    files = bench.write(tmp_path)
    (window,) = bench.windows
    assert window.device_timed and "requests/one/device.npy" in files
    assert read_requests(tmp_path, "one", DEVICE, window.samples).tolist() == [7] * window.samples
    assert len(read_requests(tmp_path, "one", LATENCY, window.samples)) == window.samples


def test_what_is_done_before_a_request_is_not_in_its_time(bench):
    bench.session.before = lambda: time.sleep(0.05)
    took = durations(timed(bench.infer, bench.feeds(1), 4, bench.clock))
    assert np.median(took) < 50_000_000


def test_after_is_lazy():
    done = []
    feeds = after(lambda: done.append(1), iter("abc"))
    assert not done
    assert next(feeds) == "a" and done == [1]


@pytest.mark.parametrize(("servers", "own"), [(1, 0), (3, 3)])
def test_several_threads_have_connections_and_a_single_one_calls_what_times_its_device(bench, servers, own):
    made = []
    bench.session.connect = lambda: made.append(len(made)) or bench.session.infer
    streams = bench.streams(servers, [1])
    assert len(streams) == servers and len(made) == own
    for stream in streams:
        stream.infer(next(stream.feeds(1)))
    assert bench.device_ns(servers).size == servers
