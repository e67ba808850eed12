"""What was recorded on a real GPU, replayed: the counter's period, energy, use, memory, clocks."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.analyse.device_remarks import device_remarks
from harness.analyse.devices import OnGpu, clock_range, on_gpu, share_of_device, watched
from harness.analyse.trials import TrialMetrics
from harness.evidence.files import read_json
from harness.evidence.folder import LATENCY, START, save_requests
from harness.spec.outcome import Outcome
from harness.stats.energy import energy_between, update_period_s

RECORDED = Path(__file__).parents[1] / "recorded" / "nvml"


@pytest.fixture
def trial(tmp_path) -> TrialMetrics:
    """The recorded trial, with requests one after another in place of the recorded ones."""
    folder = Path(shutil.copytree(RECORDED, tmp_path / "cold-01"))
    outcome = read_json(folder / "outcome.json", Outcome)
    (window,) = outcome.windows
    begin = round(1e9 * watched(folder, outcome).windows[window.name][0])
    latency = np.full(window.samples, window.elapsed_ns // window.samples)
    start = begin + np.arange(window.samples) * (latency + 13_000)  # what passed between requests
    save_requests(folder, window.name, {LATENCY: latency, START: start})
    return TrialMetrics(0, outcome, {}, {}, {}, {}, (), folder, on_gpu(folder, outcome, alone=True))


def test_the_counter_is_updated_ten_times_a_second(trial):
    found = watched(trial.folder, trial.outcome)
    assert update_period_s(found.t_s, found.columns["energy_mj"]) == pytest.approx(0.1, rel=0.02)


def test_counter_and_integrated_power_agree(trial):
    found = watched(trial.folder, trial.outcome)
    spent = energy_between(
        found.t_s, found.columns["energy_mj"], found.columns["power_w"], *found.windows["interactive"]
    )
    assert spent.joules == pytest.approx(1052.8, abs=0.1)
    assert spent.integrated_j == pytest.approx(1055.7, abs=0.1)
    assert spent.agrees and spent.relative == pytest.approx(0.017, abs=0.001)


def test_the_energy_of_an_inference_is_that_reported_then(trial):
    assert trial.gpu.energy.millijoules == pytest.approx(171.7, rel=0.01)


def test_memory_and_use_are_those_reported_then(trial):
    assert trial.gpu.memory_peak_mib == 922.0
    assert trial.gpu.utilisation == pytest.approx(0.910, abs=0.001)
    assert share_of_device(trial.outcome) == pytest.approx((174063616 + (600 << 20)) / 150109880320)


def test_a_quiet_gpu_is_not_flagged(trial):
    assert clock_range(watched(trial.folder, trial.outcome)) == (1980, 1980)
    assert device_remarks([], [trial]) == []


def test_of_a_process_that_shared_the_gpu_only_its_memory_is_known(trial):
    assert on_gpu(trial.folder, trial.outcome, alone=False) == OnGpu(922.0)
