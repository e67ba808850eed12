"""A trial in this process: where its time went, what it says of its memory, and what a control adds."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.evidence.folder import SLICE_COLUMNS, read_requests
from harness.runtimes.fake import FakeSession
from harness.scenarios.offline import Offline
from harness.scenarios.single_stream import SingleStream
from harness.spec.outcome import Outcome
from harness.spec.wire import Trial
from harness.worker.calls import slowed
from harness.worker.work import do_job

from ..launch.helpers import trial_of

PURPOSES = {"import", "load", "first", "warm_up", "sampling", "uncounted", "waiting", "predict", "other", "write"}


def done(folder: Path, job: Trial) -> Outcome:
    folder.mkdir(exist_ok=True)
    outcome = do_job(job, folder, folder.parent)
    assert outcome.status == "ok", outcome.message
    return outcome


def test_what_a_session_says_of_itself_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeSession, "facts", lambda session: {"fake.threads": 3}, raising=False)
    settings = done(tmp_path / "t", trial_of(tmp_path / "t", latency_ms=1.0)).settings
    assert settings["fake.threads"] == 3 and settings["turn_s"] == 0.025


def test_every_moment_of_a_trial_has_a_purpose(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    begin = time.perf_counter_ns()
    outcome = done(folder, trial_of(folder, latency_ms=2.0, clock="real", predict=True))
    took = time.perf_counter_ns() - begin
    assert set(outcome.spent) <= PURPOSES
    assert 0.8 * outcome.duration_ns < sum(outcome.spent.values()) <= outcome.duration_ns <= took
    (window,) = outcome.windows
    assert outcome.spent["sampling"] >= window.elapsed_ns
    assert outcome.spent["warm_up"] >= window.warm_up_ns >= window.warm_up_samples * 2_000_000
    assert outcome.spent["load"] >= outcome.load_ns and outcome.spent["first"] >= outcome.first_inference_ns


def test_requests_are_written_when_all_windows_are_measured(tmp_path: Path) -> None:
    """Until then they are kept in memory: writing would disturb whoever has the turn."""
    folder = tmp_path / "t"
    job = trial_of(folder)
    second = SingleStream(name="two", seconds=0.1)
    job = msgspec.structs.replace(job, scenarios=(*job.scenarios, second, Offline(name="many", seconds=0.3)))
    outcome = done(folder, job)
    assert [window.name for window in outcome.windows] == ["one", "two", "many.b1", "many.b8", "many.b32"]
    stamps = [(folder / file).stat().st_mtime_ns for file in outcome.files]
    closed = (folder / "events.jsonl").stat().st_mtime_ns
    assert min(stamps) >= closed, "the last mark comes before the first array"
    for window in outcome.windows:
        assert len(read_requests(folder, window.name, "round", window.samples)) == window.samples
        assert window.rounds == round({"one": 0.2}.get(window.name, 0.1) / job.turn_s)


def test_slices_cover_what_was_measured(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    done(folder, trial_of(folder, latency_ms=1.0, clock="real"))
    rows = np.load(folder / "slices.npy")
    assert rows.dtype == np.int64 and rows.shape[1] == len(SLICE_COLUMNS)
    starts, latency = read_requests(folder, "one", "start"), read_requests(folder, "one")
    assert rows[0, 0] <= starts[0] and rows[-1, 1] >= starts[-1] + latency[-1]
    assert 3 <= len(rows) <= 6, "a slice closes at the end of the turn that brings it to 50 ms"


def test_memory_says_what_the_inputs_are(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    memory = done(folder, trial_of(folder)).memory
    rows = pool = 32  # of 4 bytes: no more rows than there are
    assert memory.inputs_bytes == (rows + pool) * 4
    assert memory.baseline_bytes <= memory.loaded_bytes <= memory.peak_bytes
    assert 0 < memory.anon_bytes <= memory.peak_bytes and 0 < memory.pss_bytes <= memory.peak_bytes


def test_a_control_is_slower_by_its_part() -> None:
    def infer(feed: int) -> int:
        end = time.perf_counter_ns() + 5_000_000
        while time.perf_counter_ns() < end:
            pass
        return feed + 1

    call = slowed(infer, 0.5)
    begin = time.perf_counter_ns()
    assert call(1) == 2
    assert time.perf_counter_ns() - begin >= 7_500_000


def test_a_control_measures_the_added_work(tmp_path: Path) -> None:
    """Each request sleeps for 2 ms, or somewhat longer on a busy host."""
    folder = tmp_path / "t"
    done(folder, msgspec.structs.replace(trial_of(folder, latency_ms=2.0, clock="real", seconds=0.06), slower=1.0))
    assert read_requests(folder, "one").min() >= 4_000_000


def test_trials_of_one_process_leave_no_file_open(tmp_path: Path) -> None:
    """The selftest does hundreds of them in its own process."""
    done(tmp_path / "warm", trial_of(tmp_path / "warm"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in "abc":
        done(tmp_path / name, trial_of(tmp_path / name))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
