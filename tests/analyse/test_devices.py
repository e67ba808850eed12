"""Trials on a GPU, written by hand: energy, use and memory of cold trials, times of the device, and what is flagged."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from harness.analyse.device_remarks import disturbed
from harness.analyse.devices import share_of_device
from harness.analyse.notes import notes_of
from harness.analyse.reader import open_run
from harness.analyse.remarks import remarked
from harness.evidence.files import save_array
from harness.evidence.folder import (
    DEVICE,
    LATENCY,
    START,
    TelemetryLog,
    request_file,
    telemetry_file,
    write_job,
    write_outcome,
)
from harness.evidence.run import RaceRecord, cold_folder, trial_folder
from harness.scenarios.single_stream import SingleStream
from harness.spec.outcome import Event, Launched, Outcome, ProbeRecord, Window
from harness.spec.policy import Policy
from harness.spec.suite import Candidate
from harness.spec.target import Target
from harness.spec.variant import Variant
from harness.spec.wire import Trial

from .handwritten import run_folder

S = 1_000_000_000
COLUMNS = (
    "utilisation",
    "process_memory_bytes",
    "power_w",
    "energy_mj",
    "sm_clock_mhz",
    "clock_reasons",
    "other_processes",
)
FACTS = {"name": "a GPU", "uuid": "GPU-1", "mig": False, "compute_mode": "default", "processes_visible": True}
BEGIN_S, WATTS, REQUEST_MS, PERIOD_S = 100.0, 300.0, 2.0, 0.1


def on_gpu(folder, seconds=6.0, facts=None, settings=None, options=None, batch=1, device_ms=1.5, **columns):
    """Write a trial of 2 ms requests under 300 W, sampled 20 times a second from 1 s before to 1 s after."""
    t = np.arange(round((seconds + 2) * 20)) / 20 + BEGIN_S - 1
    n = round(seconds * 1e3 / REQUEST_MS)
    values = {
        "utilisation": 0.9,
        "process_memory_bytes": 2 << 30,
        "power_w": WATTS,
        "energy_mj": np.floor(t / PERIOD_S + 1e-9) * PERIOD_S * WATTS * 1e3,
        "sm_clock_mhz": 1700,
        "clock_reasons": 0,
        "other_processes": 0,
    } | columns
    folder.mkdir(parents=True)
    log = TelemetryLog(folder, COLUMNS, telemetry_file("nvml"))
    full = {name: np.broadcast_to(np.asarray(values[name], dtype=float), t.shape) for name in COLUMNS}
    for index, at in enumerate(t):
        cells = [full[name][index] for name in COLUMNS]
        log.add((round(at * S), *(None if np.isnan(each) else each for each in cells)))
    log.close()
    latency = np.full(n, round(REQUEST_MS * 1e6))
    arrays = {
        LATENCY: latency,
        START: round(BEGIN_S * S) + np.arange(n) * latency,
        DEVICE: np.full(n, round(device_ms * 1e6)),
    }
    files = {f: save_array(folder / f, a) for name, a in arrays.items() for f in [request_file("interactive", name)]}
    window = Window(name="interactive", scenario="interactive", samples=n, batch_size=batch, device_timed=True,
                    elapsed_ns=int(latency.sum()), warm_up_samples=3)  # fmt: skip
    with (folder / "events.jsonl").open("wb") as file:
        for phase, at in (("measure:interactive", BEGIN_S), ("measured:interactive", BEGIN_S + seconds)):
            file.write(msgspec.json.encode(Event(phase=phase, t_ns=round(at * S))) + b"\n")
    target = Target(name="box", description="", runtime="torch", device="cuda", options=options or {})
    write_job(folder, Trial(candidate=Candidate(name="a", path="a"), target=target, variant=Variant(format="torch"),
                            scenarios=(SingleStream(name="interactive"),)))  # fmt: skip
    record = ProbeRecord(columns={}, facts=FACTS | (facts or {}))
    launched = Launched(launcher="process", wall_ns=S, probes={"nvml": record})
    told = {"device_uuid": "GPU-1", "device_total_bytes": 80 << 30, "torch_reserved_peak_bytes": 1 << 30}
    write_outcome(folder, Outcome(status="ok", windows=(window,), files=files, launched=launched,
                                  settings=told | (settings or {})))  # fmt: skip


@pytest.fixture
def run(tmp_path):
    return run_folder(tmp_path, "a")


def cold(run, number=1, **how):
    on_gpu(cold_folder(run, "a@box", number), **how)
    return open_run(run).cold("a@box")[number - 1]


def entry(run):
    reader = open_run(run)
    (found,) = remarked(reader.entries(Policy()), reader, Policy())
    return found


def codes(found):
    return [each.code for each in found.diagnostics if each.code.startswith("gpu_")]


def test_energy_of_an_inference_in_literal_numbers(run):
    """300 W and 2 ms each: 600 mJ, known to a period of 0.1 s in the 5.9 or 6 s between the first and last update."""
    found = cold(run).gpu.energy
    assert found.millijoules == pytest.approx(600, rel=0.01)
    assert found.relative == pytest.approx(0.1 / 5.9, rel=0.1)
    assert found.inferences == pytest.approx(2950, rel=0.02)
    assert found.energy.agrees
    assert cold(run, 2, batch=8).gpu.energy.millijoules == pytest.approx(75, rel=0.01)


def test_energy_of_one_process_has_the_counters_interval_and_of_several_students(run):
    cold(run)
    one = entry_of(run)
    assert (one.basis, one.trials, one.unit) == ("within", 1, "mJ")
    assert (one.low, one.high) == pytest.approx((590, 610), rel=0.01)
    cold(run, 2, energy_mj=np.floor((np.arange(160) / 20 + BEGIN_S - 1) / 0.1 + 1e-9) * 0.1 * 330e3)
    two = entry_of(run)
    assert (two.basis, two.trials) == ("between", 2)
    assert two.value == pytest.approx((600 * 660) ** 0.5, rel=0.01) and two.low < 590 and two.high > 670


def entry_of(run):
    on_gpu_once(run)
    return entry(run).metrics["energy_per_inference_mj"]


def on_gpu_once(run):
    folder = trial_folder(run, "a@box", 0)
    if not folder.exists():
        on_gpu(folder, seconds=1.0)


@pytest.mark.parametrize(
    "how",
    [
        {"seconds": 4.0},
        {"other_processes": 1},
        {"facts": {"mig": True}},
        {"options": {"flush_l2": True}},
        {"energy_mj": np.nan},
        {"settings": {"device_uuid": "GPU-2"}},
    ],
    ids=lambda how: next(iter(how)),
)
def test_energy_that_is_not_the_inferences_own_is_not_known(run, how):
    assert cold(run, **how).gpu.energy is None
    on_gpu_once(run)
    assert "energy_per_inference_mj" not in entry(run).metrics


def test_a_trial_between_the_turns_of_others_tells_memory_and_no_energy_or_use(run):
    on_gpu(trial_folder(run, "a@box", 0), process_memory_bytes=3 << 30)
    metrics = entry(run).metrics
    assert metrics["gpu_memory_peak_mib"].value == 3072
    assert not {"energy_per_inference_mj", "gpu_utilisation"} & set(metrics)
    cold(run)
    metrics = entry(run).metrics
    assert metrics["gpu_utilisation"].value == pytest.approx(0.9)
    assert metrics["gpu_memory_peak_mib"].n == 2


def test_use_is_that_of_the_window_after_nvml_has_forgotten_what_was_before(run):
    t = np.arange(160) / 20 + BEGIN_S - 1
    assert cold(run, utilisation=np.where(t < BEGIN_S + 1, 0.0, 0.8)).gpu.utilisation == pytest.approx(0.8)
    assert cold(run, 2, seconds=1.0).gpu.utilisation is None


def test_processes_that_nvml_does_not_show_leave_memory_unknown_and_that_is_said(run):
    hidden = {"process_memory_bytes": np.nan, "other_processes": np.nan, "facts": {"processes_visible": False}}
    on_gpu(trial_folder(run, "a@box", 0), **hidden)
    found = entry(run)
    assert "gpu_memory_peak_mib" not in found.metrics
    assert codes(found) == ["gpu_processes_unseen"]


def test_the_times_of_the_device_are_pooled_over_all_requests_as_latencies_are(run):
    for block, (seconds, device_ms) in enumerate(((1.2, 1.4), (0.8, 1.6))):
        on_gpu(trial_folder(run, "a@box", block), seconds=seconds, device_ms=device_ms)
    found = entry(run)
    p50, p99 = (found.metrics[key] for key in ("device_p50_ms", "device_p99_ms"))
    assert (p50.value, p99.value, p50.n, p50.basis, p50.unit) == (1.4, 1.6, 1000, "pooled", "ms")
    assert found.trials["device_p50_ms"] == (1.4, 1.6)
    assert found.metrics["latency_p50_ms"].value == REQUEST_MS


def test_nothing_is_said_of_a_trial_in_which_nothing_happened(run):
    on_gpu(trial_folder(run, "a@box", 0))
    assert codes(entry(run)) == []


@pytest.mark.parametrize(
    ("how", "code", "word"),
    [
        ({"clock_reasons": 0x24}, "gpu_throttled", "power cap"),
        ({"other_processes": 2, "facts": {"other_processes": "python3 (77)"}}, "gpu_shared", "python3 (77)"),
        ({"sm_clock_mhz": np.where(np.arange(160) % 2, 1700, 1500)}, "gpu_clock_changed", "1500 to 1700 MHz"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_trial_that_is_to_be_read_with_care_is_flagged(run, how, code, word):
    on_gpu(trial_folder(run, "a@box", 0))
    on_gpu(trial_folder(run, "a@box", 1), **how)
    (found,) = [each for each in entry(run).diagnostics if each.code == code]
    assert (found.severity, found.subject) == ("warning", "a@box")
    assert "1 of 2 trials" in found.message and word in found.message
    assert [disturbed(trial) for trial in open_run(run).trials("a@box")[:2]] == [(), (code,)]


def test_a_trial_that_stands_in_place_of_another_is_said(run):
    on_gpu(trial_folder(run, "a@box", 0))
    trial_folder(run, "a@box", 0).with_name("trial-01.repeated-1").mkdir()
    (found,) = [each for each in entry(run).diagnostics if each.code == "gpu_trial_repeated"]
    assert found.severity == "info" and "1 of 1 trials" in found.message


def test_clocks_of_an_idle_gpu_and_reasons_outside_the_windows_do_not_matter(run):
    idle = np.arange(160) % 3 == 0
    outside = np.arange(160) < 20
    on_gpu(
        trial_folder(run, "a@box", 0),
        sm_clock_mhz=np.where(idle, 345, 1700),
        clock_reasons=np.where(idle, 1, np.where(outside, 0x80, 2)),
    )
    assert codes(entry(run)) == []


def test_counter_and_power_that_do_not_agree_are_flagged(run):
    cold(run, power_w=200.0)
    on_gpu_once(run)
    assert "gpu_energy_doubtful" in codes(entry(run))


def test_a_gpu_that_takes_one_process_at_a_time_is_said_and_is_whole(run):
    found = cold(run, facts={"compute_mode": "exclusive process"})
    assert share_of_device(found.outcome) == 1.0
    notes = notes_of(open_run(run), RaceRecord(), None)
    (note,) = [each for each in notes if each.code == "gpu_exclusive"]
    assert note.data["cells"] == ["a@box"] and "one after another" in note.message


def test_the_part_of_a_gpu_that_a_process_takes(run):
    assert share_of_device(cold(run).outcome) == pytest.approx((1.0 + 600 / 1024) / 80)
    assert share_of_device(Outcome(status="ok")) == 0.0


@pytest.mark.parametrize("damage", ["telemetry", "header", "events", "job"])
def test_evidence_that_is_missing_or_damaged_says_nothing(run, damage):
    folder = cold_folder(run, "a@box", 1)
    on_gpu(folder)
    if damage == "header":
        (folder / telemetry_file("nvml")).write_text("t_ns,other\n1,2\n3,4\n")
    else:
        (folder / {"telemetry": telemetry_file("nvml"), "events": "events.jsonl", "job": "job.json"}[damage]).unlink()
    on_gpu_once(run)
    (trial,) = open_run(run).cold("a@box")
    assert trial.gpu.energy is None
    assert "energy_per_inference_mj" not in entry(run).metrics
