"""The GPU probe on a scripted NVML: what it reads, what it leaves open and says so, which GPU, whose processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.probes.nvml import NvmlProbe
from harness.probes.nvml_device import THROTTLING, chosen, throttling

from .fake_nvml import NOT_SUPPORTED, FakeNvml

READ_ONLY = ("nvmlDeviceGet", "nvmlSystemGet", "nvmlInit", "nvmlShutdown")


def probe(api, device="cuda", visible=None, pids=(), there=True):
    made = NvmlProbe(api, visible)
    made.about(device)
    reason = made.unavailable()
    assert (reason is None) is there, reason
    made.start(pids)
    return made if there else reason


@pytest.fixture(autouse=True)
def _no_visible_devices(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def sampled(made):
    return dict(zip(made.columns, made.sample(), strict=True))


def test_a_sample_has_every_column_in_its_unit():
    found = sampled(probe(FakeNvml(processes=[(os.getpid(), 2 << 30)]), pids=[os.getpid()]))
    assert found == {
        "utilisation": 0.75,
        "memory_used_bytes": 3 << 30,
        "process_memory_bytes": 2 << 30,
        "power_w": 301.0,
        "energy_mj": 123_456_789,
        "sm_clock_mhz": 1755,
        "memory_clock_mhz": 2619,
        "temperature_c": 51,
        "clock_reasons": 0,
        "other_processes": 0,
    }


def test_facts_say_what_the_gpu_is_and_how_it_is_set():
    made = probe(FakeNvml(processes=[(os.getpid(), 1)]), device="cuda:1", pids=[os.getpid()])
    made.sample()
    facts = made.facts()
    assert {key: facts[key] for key in ("name", "uuid", "driver", "cuda_driver", "compute_mode", "mig", "power")} == {
        "name": "NVIDIA H100 80GB HBM3",
        "uuid": "GPU-22bb",
        "driver": "580.65.06",
        "cuda_driver": "13.0",
        "compute_mode": "default",
        "mig": False,
        "power": "instant",
    }
    assert (facts["power_limit_w"], facts["processes_visible"], facts["not_told"]) == (700.0, True, "")


def test_what_a_gpu_does_not_tell_is_null_asked_once_and_said():
    refused = dict.fromkeys(("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetFieldValues"), NOT_SUPPORTED)
    api = FakeNvml(refused=refused)
    made = probe(api)
    for _ in range(3):
        found = sampled(made)
        assert found["energy_mj"] is None
    assert found["power_w"] == 250.0, "the mean over a second is all there is"
    assert api.calls.count("nvmlDeviceGetTotalEnergyConsumption") == 1
    facts = made.facts()
    assert facts["power"] != "instant" and "nvmlDeviceGetTotalEnergyConsumption: error 3" in facts["not_told"]


def test_an_error_that_may_pass_is_asked_again():
    api = FakeNvml(refused={"nvmlDeviceGetTemperature": 10})  # a time-out
    made = probe(api)
    assert sampled(made)["temperature_c"] is None
    del api.refused["nvmlDeviceGetTemperature"]
    assert sampled(made)["temperature_c"] == 51


def test_the_energy_counter_takes_long_and_is_read_in_every_second_sample():
    api = FakeNvml(processes=[(os.getpid(), 5)])
    made = probe(api, pids=[os.getpid()])
    found = [sampled(made) for _ in range(5)]
    assert [name for name in made.columns if found[1][name] is None] == ["energy_mj"]
    assert [row["energy_mj"] is None for row in found] == [False, True, False, True, False]


def test_reasons_have_another_name_in_older_drivers():
    api = FakeNvml(
        nvmlDeviceGetCurrentClocksThrottleReasons=0x44, nvmlDeviceGetCurrentClocksEventReasons=AttributeError
    )
    made = probe(api)
    assert sampled(made)["clock_reasons"] == 0x44
    assert made.facts()["clock_reasons"] == "power cap, thermal slowdown by hardware"


@pytest.mark.parametrize("processes", [(), ((1, 5),), ((1 << 22, None),)])
def test_processes_that_cannot_be_seen_are_not_known_rather_than_none(processes):
    """In a container NVML shows none, or those of the host by numbers that mean others here."""
    made = probe(FakeNvml(processes=processes), pids=[os.getpid()])
    found = sampled(made)
    assert (found["process_memory_bytes"], found["other_processes"]) == (None, None)
    facts = made.facts()
    assert (facts["processes_visible"], facts["other_processes"]) == (False, None)


def test_a_foreign_process_is_named_and_cells_of_the_same_run_are_not_foreign():
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=pipe) as ours:
        listed = [(os.getpid() + 0, 1 << 20), (ours.pid, 1 << 30), (1, 7)]
        made = probe(FakeNvml(processes=listed), pids=[ours.pid])
        found = sampled(made)
        ours.communicate(b"\n")
    assert (found["process_memory_bytes"], found["other_processes"]) == (1 << 30, 1)
    assert made.facts()["other_processes"].endswith("(1)")


def test_memory_that_nvml_does_not_tell_of_a_process_is_null():
    made = probe(FakeNvml(processes=[(os.getpid(), None)]), pids=[os.getpid()])
    found = sampled(made)
    assert found["process_memory_bytes"] is None and found["other_processes"] == 0


@pytest.mark.parametrize(
    ("device", "visible", "api", "said"),
    [
        ("cpu", None, FakeNvml(), "the target's device is 'cpu', not a CUDA device"),
        (
            "cuda",
            None,
            FakeNvml(refused={"nvmlInit": 12}),
            "there is no NVIDIA driver library (libnvidia-ml.so.1) here",
        ),
        ("cuda", None, FakeNvml(refused={"nvmlInit": 9}), "the NVIDIA driver is not loaded"),
        ("cuda:7", None, FakeNvml(), "NVML says: error 6"),
        ("cuda:1", "GPU-22", FakeNvml(), "CUDA_VISIBLE_DEVICES='GPU-22' shows 1 devices, 'cuda:1' is not among them"),
        ("cuda", "GPU-9", FakeNvml(), "no GPU has a UUID that begins with GPU-9 (CUDA_VISIBLE_DEVICES)"),
        ("cuda", "", FakeNvml(), "CUDA_VISIBLE_DEVICES='' shows 0 devices, 'cuda' is not among them"),
    ],
)
def test_what_is_not_there_is_said(device, visible, api, said):
    assert probe(api, device, visible, there=False) == said


@pytest.mark.parametrize(
    ("device", "visible", "uuid"),
    [("cuda", None, "GPU-11aa"), ("cuda:1", None, "GPU-22bb"), ("cuda", "1", "GPU-22bb"), ("cuda:1", "1,0", "GPU-11aa"),
     ("cuda", "GPU-22", "GPU-22bb"), ("cuda", "MIG-7", "MIG-7")],
)  # fmt: skip
def test_the_gpu_is_the_one_that_cuda_would_take(device, visible, uuid):
    assert probe(FakeNvml(), device, visible).facts()["uuid"] == uuid


def test_the_variable_is_read_where_nothing_is_given(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-22bb")
    assert probe(FakeNvml()).facts()["uuid"] == "GPU-22bb"


@given(st.lists(st.sampled_from(["0", "3", "GPU-1", "MIG-2", "-1", "x", ""]), max_size=5), st.integers(0, 5))
def test_devices_count_up_to_the_first_that_is_none(listed, number):
    valid = []
    for name in listed:
        if name in ("-1", "x", ""):
            break
        valid.append(name)
    try:
        found = chosen(f"cuda:{number}", ",".join(listed))
    except LookupError:
        assert number >= len(valid)
    else:
        assert str(found) == valid[number]


@given(st.integers(0, 0x1FF))
def test_only_bits_that_slow_a_gpu_down_are_reasons(bits):
    assert throttling(bits) == [name for bit, name in THROTTLING.items() if bits & bit]
    assert throttling(bits & 0x103) == []  # idle, clocks that were set, the display


def test_no_setting_is_ever_changed_and_nvml_is_let_go():
    api = FakeNvml(processes=[(os.getpid(), 1)])
    made = probe(api, pids=[os.getpid()])
    made.sample()
    made.facts()
    made.close()
    made.close()
    assert api.open == 0
    assert all(name.startswith(READ_ONLY) for name in api.calls)
