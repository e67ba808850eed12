"""What only a fresh process shows comes from fresh processes only; the latencies of a cold trial are not published."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.analyse.reader import open_run
from harness.evidence.files import save_array
from harness.spec.outcome import Memory
from harness.spec.policy import Policy

from .handwritten import cold, run_folder, trial

MIB = 1 << 20
WARM = {"interactive": [1.0] * 40}


def entry(run, through=None):
    (found,) = open_run(run).entries(Policy(), through=through)
    return found


@pytest.fixture
def run(tmp_path):
    """One cold trial before the blocks, and one fork in each of two blocks."""
    made = run_folder(tmp_path, "a")
    cold(made, "a", 1, load_ns=30_000_000, first_inference_ns=5_000_000, memory=Memory(loaded_bytes=50 * MIB))
    for block in range(2):
        trial(made, "a", block, WARM, fresh=False, load_ns=1_000_000, memory=Memory(loaded_bytes=MIB))
    return made


def test_forks_tell_nothing_of_load_time_and_memory(run):
    metrics = entry(run).metrics
    assert (metrics["load_ms"].value, metrics["load_ms"].n, metrics["load_ms"].trials) == (30.0, 1, 1)
    assert (metrics["first_inference_ms"].value, metrics["memory_loaded_mib"].value) == (5.0, 50.0)


def test_the_latency_of_a_cold_trial_is_not_published(run):
    found = entry(run)
    assert (found.metrics["latency_p50_ms"].value, found.metrics["latency_p50_ms"].n) == (1.0, 80)
    assert found.metrics["latency_p99_9_ms"].value == 1.0  # the cold trial's only request took a second
    assert found.metrics["warm_up_inferences"].trials == 2


def test_further_cold_trials_come_one_per_block(run):
    for number, load_ms in ((2, 20), (3, 60)):
        cold(run, "a", number, load_ns=load_ms * 1_000_000)
    found = entry(run)
    assert found.trials["load_ms"] == (30.0, 20.0, 60.0)
    assert found.metrics["load_ms"].value == pytest.approx((30 * 20 * 60) ** (1 / 3))
    assert found.metrics["load_ms"].n == 3
    assert found.metrics["memory_loaded_mib"].n == 1  # the others did not tell
    assert entry(run, through=1).trials["load_ms"] == (30.0, 20.0)


def test_fresh_trials_come_behind_the_first_cold_one(tmp_path):
    """A runtime that cannot be forked: each of its trials is a fresh process."""
    run = run_folder(tmp_path, "a")
    cold(run, "a", 1, load_ns=30_000_000)
    trial(run, "a", 0, WARM, load_ns=20_000_000)
    trial(run, "a", 2, WARM, load_ns=10_000_000)
    values = entry(run).trials["load_ms"]
    assert values[:2] == (30.0, 20.0) and math.isnan(values[2]) and values[3] == 10.0


def test_the_inputs_are_taken_off_the_memory(tmp_path):
    run = run_folder(tmp_path, "a")
    memory = Memory(
        baseline_bytes=20 * MIB,
        loaded_bytes=30 * MIB,
        peak_bytes=100 * MIB,
        anon_bytes=80 * MIB,
        pss_bytes=90 * MIB,
        inputs_bytes=8 * MIB,
    )
    cold(run, "a", 1, memory=memory)
    trial(run, "a", 0, WARM, fresh=False)
    found = {key: m.value for key, m in entry(run).metrics.items() if key.startswith("memory_")}
    assert found == {
        "memory_baseline_mib": 20.0,
        "memory_loaded_mib": 30.0,
        "memory_peak_mib": 92.0,
        "memory_anon_mib": 72.0,
        "memory_pss_mib": 82.0,
    }


def test_what_the_child_could_not_read_is_left_out(tmp_path):
    run = run_folder(tmp_path, "a")
    cold(run, "a", 1, memory=Memory(peak_bytes=MIB))
    trial(run, "a", 0, WARM, fresh=False)
    found = entry(run).metrics
    assert found["memory_peak_mib"].value == 1.0
    assert not {"memory_baseline_mib", "memory_pss_mib", "load_ms"} & set(found)


def test_a_failed_cold_trial_fails_the_cell(run):
    cold(run, "a", 2, status="failed", failure="oom", message="ended by the kernel")
    assert (entry(run).status, entry(run).failure) == ("failed", "oom")
    reader = open_run(run)
    assert not reader.failed("a@box", through=0)
    assert reader.failed("a@box", through=1)


def test_predictions_are_the_first_cold_trials(tmp_path):
    run = run_folder(tmp_path, "a")
    labels = tmp_path / "prepare" / "dataset" / "evaluation" / "labels.npy"
    save_array(labels, np.arange(10) % 2)
    text = (tmp_path / "prepare.json").read_text()
    (tmp_path / "prepare.json").write_text(text.replace('"cells"', '"dataset": "prepare/dataset", "cells"'))
    cold(run, "a", 1, predictions=np.eye(2, dtype=np.float32)[np.arange(10) % 2])
    trial(run, "a", 0, WARM, fresh=False)
    assert entry(run).metrics["accuracy"].value == 1.0


def test_a_cell_that_was_not_measured_is_skipped_though_it_was_started(tmp_path):
    run = run_folder(tmp_path, "a")
    cold(run, "a", 1)
    assert entry(run).status == "skipped"
