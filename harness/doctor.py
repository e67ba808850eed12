"""This machine as a measuring instrument: what can be trusted here, what is enforced, and what is not."""

from __future__ import annotations

import importlib.metadata
import os
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from harness.runs import fingerprint
from harness.trial.lock import lock_path
from harness.trial.watch import look

Verdict = Literal["good", "note", "bad", "unavailable"]
_SPIN_NS = 500_000_000
_PAUSE_NS = 20_000


class Finding(NamedTuple):
    """One thing examined: its name, what was found, and how good that is for measuring."""

    name: str
    found: str
    verdict: Verdict


def examine() -> list[Finding]:
    """Examine this machine; takes about a second."""
    checks: tuple[Callable[[], list[Finding]], ...] = (_host, _clock, _noise, _limits, _gpu, _compiler, _packages)
    return [finding for check in checks for finding in check()]


def _host() -> list[Finding]:
    host = fingerprint()
    load = os.getloadavg()[0]
    cpus = int(host["affinity"] or 1)
    busy: Verdict = "good" if load < 0.5 * cpus else "note" if load < cpus else "bad"
    return [
        Finding("processor", f"{host['cpu']}, {host['cpus']} CPUs, {cpus} usable here", "good" if cpus > 1 else "note"),
        Finding("memory", f"{host['memory_mib']} MiB", "good"),
        Finding("load", f"{load:.2f} over the last minute", busy),
    ]


def _clock() -> list[Finding]:
    info = time.get_clock_info("perf_counter")
    reads = np.array([time.perf_counter_ns() for _ in range(20_000)])
    steps = np.diff(reads)
    text = f"{info.implementation}, a read takes {np.median(steps):.0f} ns"
    return [Finding("clock", text, "good" if info.monotonic and np.median(steps) < 500 else "bad")]


def _noise() -> list[Finding]:
    """Spin for half a second and count the pauses that something else made."""
    before = look(os.getpid())
    pauses, lost, last = 0, 0, time.perf_counter_ns()
    end = last + _SPIN_NS
    while last < end:
        now = time.perf_counter_ns()
        if now - last > _PAUSE_NS:
            pauses, lost = pauses + 1, lost + now - last
        last = now
    share = lost / _SPIN_NS
    verdict: Verdict = "good" if share < 0.002 else "note" if share < 0.02 else "bad"
    found = [Finding("interruptions", f"{pauses} pauses over 20 µs in 0.5 s, {share:.2%} of the time", verdict)]
    after = look(os.getpid())
    if None not in (before.host_steal_ticks, after.host_steal_ticks, before.host_total_ticks, after.host_total_ticks):
        ticks = max((after.host_total_ticks or 0) - (before.host_total_ticks or 0), 1)
        steal = ((after.host_steal_ticks or 0) - (before.host_steal_ticks or 0)) / ticks
        found.append(Finding("steal", f"{steal:.1%} of CPU time in that while", "good" if steal <= 0.01 else "bad"))
    else:
        found.append(Finding("steal", "this kernel does not say", "unavailable"))
    return found


def _limits() -> list[Finding]:
    cgroup = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    outer = "no outer bound" if hard == resource.RLIM_INFINITY else f"outer bound {hard >> 20} MiB"
    frequency = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq").exists()
    return [
        Finding("memory limits", f"enforced by RLIMIT_DATA ({outer})", "good"),
        Finding("CPU limits", "not enforced; threads are bounded to the target's CPUs", "note"),
        Finding("cgroup v2", "present, not used yet" if cgroup else "not mounted", "note" if cgroup else "unavailable"),
        Finding("CPU frequency", "readable" if frequency else "not readable", "good" if frequency else "unavailable"),
        Finding("lock", str(lock_path()), "good"),
    ]


def _gpu() -> list[Finding]:
    present = Path("/proc/driver/nvidia/version").exists()
    return [
        Finding("NVIDIA GPU", "driver loaded" if present else "no driver loaded", "note" if present else "unavailable")
    ]


def _compiler() -> list[Finding]:
    found = shutil.which("g++") or shutil.which("clang++")
    return [Finding("C++ compiler", found or 'none: mode = "compile" is not available', "good" if found else "note")]


def _packages() -> list[Finding]:
    return [_package(name) for name in ("onnxruntime", "torch", "scikit-learn", "skl2onnx")]


def _package(name: str) -> Finding:
    try:
        return Finding(name, importlib.metadata.version(name), "good")
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "not installed", "unavailable")
