"""The examination behind `harness doctor`: what can be trusted here, what is enforced, and what is not."""

import importlib.metadata
import os
import resource
import shutil
import time
from pathlib import Path

import numpy as np

from harness.launch.environment import host_facts
from harness.launch.instructions import DOT_PRODUCTS
from harness.launch.limits import describe
from harness.launch.lock import lock_path
from harness.launch.means import find
from harness.probes.host import cpu_seconds
from harness.probes.kernels import core_speed
from harness.probes.nvml import NvmlProbe
from harness.probes.rapl import RaplProbe
from harness.report.listing import Finding, Grade
from harness.score.words import percent
from harness.spec import plugins
from harness.spec.outcome import Fact

_SPIN_NS = 500_000_000
_PAUSE_NS = 20_000
_LIMITS = {"cpu": "CPU quotas", "cpuset": "CPU sets", "memory": "memory limits"}


def examine() -> list[Finding]:
    """Examine this machine; takes about a second."""
    checks = (_host, _speed, _clock, _noise, _limits, _equipment, _packages, _plugins)
    return [finding for check in checks for finding in check()]


def _host() -> list[Finding]:
    host, load, cpus = host_facts(), os.getloadavg()[0], len(os.sched_getaffinity(0))
    busy: Grade = "good" if load < 0.5 * cpus else "note" if load < cpus else "bad"
    return [
        Finding("processor", f"{host['cpu']}, {host['cpus']} CPUs, {cpus} usable here", "good" if cpus > 1 else "note"),
        _instructions(host["instructions"]),
        Finding("memory", f"{host['memory_mib']} MiB", "good"),
        Finding("load", f"{load:.2f} over the last minute", busy),
    ]


def _instructions(found: Fact) -> Finding:
    if found is None:
        return Finding("instructions", "/proc/cpuinfo does not tell them", "unavailable")
    names = str(found).split()
    if set(names).isdisjoint(DOT_PRODUCTS):
        return Finding("instructions", f"{', '.join(names) or 'none of note'}; no int8 dot product", "note")
    return Finding("instructions", ", ".join(names), "good")


def _speed() -> list[Finding]:
    """Time the kernels that a target's `cpu_scale` compares cores by."""
    speed = core_speed()
    text = f"integer kernel {speed.integer_ms:.2f} ms, float kernel {speed.float_ms:.2f} ms, for a target's cpu_scale"
    return [Finding("one core", text, "good")]


def _clock() -> list[Finding]:
    info = time.get_clock_info("perf_counter")
    read_ns = np.median(np.diff([time.perf_counter_ns() for _ in range(20_000)]))
    text = f"{info.implementation}, a read takes {read_ns:.0f} ns"
    return [Finding("clock", text, "good" if info.monotonic and read_ns < 500 else "bad")]


def _noise() -> list[Finding]:
    """Spin for half a second and count the interruptions by others."""
    before = cpu_seconds()
    pauses, lost, last = 0, 0, time.perf_counter_ns()
    end = last + _SPIN_NS
    while last < end:
        now = time.perf_counter_ns()
        if now - last > _PAUSE_NS:
            pauses, lost = pauses + 1, lost + now - last
        last = now
    fraction = lost / _SPIN_NS
    grade: Grade = "good" if fraction < 0.002 else "note" if fraction < 0.02 else "bad"
    text = f"{pauses} pauses over 20 µs in 0.5 s, {percent(fraction, 2)} of the time"
    return [Finding("interruptions", text, grade), _steal(before)]


def _steal(before: tuple[float | None, float, float]) -> Finding:
    after = cpu_seconds()
    if before[0] is None or after[0] is None:
        return Finding("steal", "this kernel does not tell it", "unavailable")
    steal = (after[0] - before[0]) / max(after[2] - before[2], 0.01)
    return Finding("steal", f"{percent(steal, 1)} of CPU time in that half second", "good" if steal <= 0.01 else "bad")


def _limits() -> list[Finding]:
    means = find()
    held = describe(means)
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    outer = "no outer bound" if hard == resource.RLIM_INFINITY else f"outer bound {hard >> 20} MiB"
    frequency = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq").exists()
    return [
        *(Finding(_LIMITS[name], words, "good" if name in means.places else "note") for name, words in held.items()),
        Finding("RLIMIT_DATA", f"bounds jobs without a memory limit ({outer})", "good"),
        Finding("CPU frequency", "readable" if frequency else "not readable", "good" if frequency else "unavailable"),
        Finding("lock", str(lock_path()), "good"),
    ]


def _equipment() -> list[Finding]:
    compiler = shutil.which("g++") or shutil.which("clang++")
    missing = 'none: mode = "compile" is not available'
    return [
        _gpu(),
        _package_energy(),
        Finding("C++ compiler", compiler or missing, "good" if compiler else "note"),
    ]


def _gpu() -> Finding:
    """Ask NVML for the first GPU that CUDA would take, and what it does not tell."""
    probe = NvmlProbe()
    probe.about("cuda")
    if (reason := probe.unavailable()) is not None:
        return Finding("NVIDIA GPU", reason, "unavailable")
    probe.sample()
    facts = probe.facts()
    probe.close()
    text = f"{facts['name']}, driver {facts['driver']}, compute mode {facts['compute_mode']}"
    lacks = f"; not told: {facts['not_told']}" if facts["not_told"] else ""
    return Finding("NVIDIA GPU", text + lacks, "note" if lacks else "good")


def _package_energy() -> Finding:
    """Ask the kernel for the energy of the CPU packages."""
    probe = RaplProbe()
    if (reason := probe.unavailable()) is not None:
        return Finding("CPU energy", reason, "unavailable")
    return Finding(
        "CPU energy", f"RAPL: {probe.facts()['zones']}; of the whole package, all processes together", "good"
    )


def _packages() -> list[Finding]:
    return [
        _package(name)
        for name in ("onnxruntime", "torch", "openvino", "executorch", "ai-edge-litert", "scikit-learn", "skl2onnx")
    ]


def _package(name: str) -> Finding:
    try:
        return Finding(name, importlib.metadata.version(name), "good")
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "not installed", "unavailable")


def _plugins() -> list[Finding]:
    """Load every plug-in that this process may load; runtimes and conversions are loaded in jobs only."""
    broken = []
    for group in ("formats", "metrics", "scenarios", "probes", "launchers"):
        for name in plugins.names(group):
            try:
                plugins.load(group, name)
            except ImportError as error:
                broken.append(Finding(f"plug-in {name}", f"harness.{group}: cannot be imported: {error}", "bad"))
    return broken
