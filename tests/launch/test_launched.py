"""What the launcher decides and records of a job: resources, host, wall time, processes; and that a folder travels."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import msgspec
import numpy as np

from harness.evidence.files import read_array
from harness.evidence.folder import PREDICTIONS, read_job, read_outcome, set_aside
from harness.launch.environment import host_facts
from harness.spec.suite import Dataset
from harness.spec.wire import MakeDataset, Resources

from .helpers import as_python, launched, trial_of


def test_the_launcher_decides_what_a_job_is_granted_and_records_it(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    outcome = launched(folder, trial_of(folder), memory_mib=300)
    assert outcome.launched is not None
    resources = outcome.launched.resources
    assert resources == read_job(folder).resources
    assert resources.memory_limit_bytes == 300 << 20
    assert set(resources.limits) == {"memory_mib"} and resources.unenforced == ()
    assert outcome.launched.host == host_facts()


def test_what_a_job_brings_along_is_replaced_by_what_this_host_grants(tmp_path: Path) -> None:
    """A folder may come from another host, with that host's threads and memory in its job."""
    folder = tmp_path / "t"
    job = msgspec.structs.replace(trial_of(folder), resources=Resources(threads=999, memory_limit_bytes=1))
    script = "import os; print(*(os.environ[n] for n in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS')), flush=True)"
    outcome = launched(folder, job, python=as_python(tmp_path, script))
    threads = len(os.sched_getaffinity(0))
    assert read_job(folder).resources == outcome.launched.resources
    assert (outcome.launched.resources.threads, outcome.launched.resources.limits) == (threads, {})
    assert outcome.launched.resources.memory_limit_bytes > 1 << 20
    assert (folder / "worker.log").read_text().split() == [str(threads)] * 2


def test_wall_time_covers_the_whole_process(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    begin = time.monotonic_ns()
    outcome = launched(folder, trial_of(folder))
    took = time.monotonic_ns() - begin
    assert outcome.launched is not None and outcome.duration_ns < outcome.launched.wall_ns <= took


def test_a_failed_job_has_its_wall_time_host_and_probes_too(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    begin = time.monotonic_ns()
    outcome = launched(folder, trial_of(folder, fail_at="load", fail_how="hang"), timeout_s=0.5)
    took = time.monotonic_ns() - begin
    assert 500_000_000 <= outcome.launched.wall_ns <= took
    assert (outcome.launched.launcher, outcome.launched.host) == ("process", host_facts())
    assert set(outcome.launched.probes) >= {"host", "process"}
    assert read_outcome(folder) == outcome


def test_the_measured_process_is_named(tmp_path: Path) -> None:
    folder, pids = tmp_path / "t", []
    script = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(60)"
    hung = launched(folder, trial_of(folder), python=as_python(tmp_path, script), timeout_s=0.5)
    pids.append(int((folder / "worker.log").read_text().split()[1]))
    assert hung.failure == "timeout" and hung.pids == tuple(pids)
    assert len(launched(tmp_path / "u", trial_of(tmp_path / "u")).pids) == 1


def test_a_folder_travels(tmp_path: Path) -> None:
    """What was staged for a job in one place is done in another, by the same relative paths."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    np.savez(tmp_path / "rows.npz", x=np.arange(5, dtype=np.float32).reshape(5, 1))
    made = launched(here / "data", MakeDataset(dataset=Dataset(path="rows.npz"), base=str(tmp_path)))
    assert made.status == "ok", made.message
    job = msgspec.structs.replace(trial_of(here / "t", predict=True), dataset="data/evaluation", synthetic=None)
    first = launched(here / "t", job)
    assert first.status == "ok", first.message
    predicted = np.array(read_array(here / "t" / PREDICTIONS))
    (tmp_path / "rows.npz").unlink()
    shutil.copytree(here, there)
    shutil.rmtree(here)
    carried = read_job(there / "t")
    set_aside(there / "t")
    outcome = launched(there / "t", carried)
    assert outcome.status == "ok", outcome.message
    assert outcome.windows == first.windows and outcome.files.keys() == first.files.keys()
    assert len(predicted) == 5 and (read_array(there / "t" / PREDICTIONS) == predicted).all()
    assert read_job(there / "t").variant.path == "t.fake.toml"
