"""Energy by the GPU's counter against integrated power; how often that is updated; what a sample of NVML costs."""

from __future__ import annotations

import json
import os
import shutil
import time
from itertools import cycle
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from cases import Case, free, made
from figure import Figure, median

from harness.evidence.folder import read_telemetry, telemetry_file
from harness.launch.sampler import Sampler
from harness.probes.base import Probes
from harness.probes.nvml import NvmlProbe
from harness.stats.energy import LEAST_UPDATES, energy_between, update_period_s

LOAD_S, SETTLED_S = 7.0, 1.5


def energy(folder: Path, out: Path) -> list[Figure]:
    """Load the GPU for some seconds while NVML is sampled as beside a trial."""
    probe = NvmlProbe()
    probe.about("cuda")
    reason = probe.unavailable()
    assert reason is None, reason
    probe.start([os.getpid()])
    figures = [*_costs(probe), *_period(probe)]
    with mock.patch("harness.probes.base.plugins.names", lambda group: ("nvml",)):
        probes = Probes("cuda")
    probes.start([os.getpid()])
    sampler = Sampler(folder, probes)
    begin_s, end_s, requests = _load()
    sampler.stop()
    facts = probes.records()["nvml"].facts
    _keep(folder, out, facts)
    found = read_telemetry(folder, "nvml")
    t_s = found["t_ns"] / 1e9
    known = {name: int(np.isfinite(values).sum()) for name, values in found.items()}
    rate = (len(t_s) - 1) / (t_s[-1] - t_s[0])
    figures.append(Figure("samples of NVML in a second", rate, "1/s", len(t_s), 10, 25, note=f"known: {known}"))
    spent = energy_between(t_s, found["energy_mj"], found["power_w"], begin_s + SETTLED_S, end_s)
    assert spent is not None, f"no window of {LEAST_UPDATES} updates: period {update_period_s(t_s, found['energy_mj'])}"
    seconds = spent.end_s - spent.begin_s
    ratio = (spent.integrated_j or float("nan")) / spent.joules
    each_mj = 1e3 * spent.joules / requests * (end_s - begin_s) / seconds
    said = f"{spent.joules:.1f} J and {spent.integrated_j or float('nan'):.1f} J in {seconds:.2f} s, "
    said += f"power {facts['power']}; ±{spent.relative:.1%}; {each_mj:.1f} mJ a batch of 64"
    updates = round(seconds / spent.period_s)
    figures.append(Figure("integrated power ÷ energy counter", ratio, "", updates, 0.9, 1.1, note=said))
    figures.append(Figure("counter's period as seen by samples", 1e3 * spent.period_s, "ms", updates, 0, 150))
    probes.close()
    print("NVML facts:", json.dumps(facts))
    free()
    return figures


def _load() -> tuple[float, float, int]:
    """Keep the GPU busy; returns begin and end (s, the clock of the samples), and how many requests were done."""
    found = made(Case("resnet50", 64, "eager"))
    feeds = cycle([found.resident.place(each) for each in found.feeds])
    requests, begin_s = 0, time.perf_counter()
    with torch.inference_mode():
        while time.perf_counter() - begin_s < LOAD_S:
            found.resident.infer(next(feeds))
            requests += 1
    return begin_s, time.perf_counter(), requests


def _costs(probe: NvmlProbe) -> list[Figure]:
    took, own, before = [], probe.sample(), time.process_time()
    for _ in range(40):
        begin = time.perf_counter()
        probe.sample()
        took.append(1e3 * (time.perf_counter() - begin))
    cpu_ms = 1e3 * (time.process_time() - before) / 40
    said = f"CPU {cpu_ms:.2f} ms; first sample {dict(zip(probe.columns, own, strict=True))}\n{_each(probe)}"
    return [median("one sample of NVML, every second one with the energy counter", took, 0, 15, "ms", said)]


def _each(probe: NvmlProbe, times: int = 15) -> str:
    """Say what each function of NVML takes."""
    api, gpu, said = probe._nvml.api, probe._gpu, []
    calls = {
        "nvmlDeviceGetUtilizationRates": (gpu,),
        "nvmlDeviceGetMemoryInfo": (gpu,),
        "nvmlDeviceGetComputeRunningProcesses": (gpu,),
        "nvmlDeviceGetFieldValues": (gpu, [186]),
        "nvmlDeviceGetPowerUsage": (gpu,),
        "nvmlDeviceGetTotalEnergyConsumption": (gpu,),
        "nvmlDeviceGetClockInfo": (gpu, api.NVML_CLOCK_SM),
        "nvmlDeviceGetTemperature": (gpu, api.NVML_TEMPERATURE_GPU),
        "nvmlDeviceGetCurrentClocksEventReasons": (gpu,),
    }
    for name, arguments in calls.items():
        took = []
        for _ in range(times):
            begin = time.perf_counter()
            probe._nvml.ask(name, *arguments)
            took.append(1e3 * (time.perf_counter() - begin))
        said.append(f"{name.removeprefix('nvmlDeviceGet')} {np.median(took):.3f}")
    return "ms each: " + ", ".join(said)


def _period(probe: NvmlProbe, seconds: float = 2.0) -> list[Figure]:
    """Ask for the counter alone, again and again, and see how often it changes."""
    stamps, values, end = [], [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        values.append(probe._nvml.ask("nvmlDeviceGetTotalEnergyConsumption", probe._gpu) or float("nan"))
        stamps.append(time.perf_counter())
    found = update_period_s(np.array(stamps), np.array(values, dtype=float))
    assert found is not None, f"the counter did not change in {seconds} s: {values[:3]}"
    name = "update period of the energy counter, asked for without a pause"
    return [Figure(name, 1e3 * found, "ms", len(set(values)), 0, 150, note=f"{len(values)} readings")]


def _keep(folder: Path, out: Path, facts: dict[str, object]) -> None:
    """Keep what NVML showed, so that tests can replay it."""
    kept = out / "nvml"
    kept.mkdir(exist_ok=True)
    shutil.copyfile(folder / telemetry_file("nvml"), kept / telemetry_file("nvml"))
    (kept / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
