"""Does reading NVML from the parent slow the child? Probing goes on and off while one child measures."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from unittest import mock

import numpy as np
from cases import target, trial
from figure import Figure, median

from harness.evidence.folder import LATENCY, START, read_requests
from harness.launch.base import Terms
from harness.launch.process import ProcessLauncher
from harness.launch.sampler import Sampler
from harness.probes.base import Probes
from harness.spec.outcome import Outcome

SECONDS, STRETCH_S = 14.0, 0.3


class _NoSampler:
    """In place of the launcher's own sampler."""

    def __init__(self, folder: Path, probes: Probes) -> None:
        pass

    def stop(self) -> None:
        pass


def probing(folder: Path, out: Path) -> list[Figure]:
    """Compare the p50 of neighbouring stretches with and without probing."""
    job = trial("resnet50", SECONDS, target(mode="graph", channels_last=True))
    with mock.patch("harness.launch.job.Sampler", _NoSampler):
        running = ProcessLauncher().start(folder / "trial", job, Terms(folder))
    ended: list[Outcome] = []
    waiting = threading.Thread(target=lambda: ended.append(running.wait(lambda phase: None)))
    waiting.start()
    stretches, cpu_share = _switched(folder, running, waiting)
    waiting.join()
    outcome = ended[0]
    assert outcome.status == "ok", outcome.message
    start, latency = (read_requests(folder / "trial", "interactive", each) for each in (START, LATENCY))
    medians = [_median(start, latency, *each) for each in stretches]
    ratios = [
        on / off
        for (_, _, probed), on, off in zip(stretches, medians, medians[1:], strict=False)
        if probed and np.isfinite(on) and np.isfinite(off)
    ]
    assert len(ratios) >= 5, f"only {len(ratios)} pairs: {len(start)} requests"
    said = f"p50 {np.median(latency) / 1e6:.4f} ms, {len(latency)} requests; facts {_short(outcome)}"
    return [
        median("p50 with NVML probing ÷ without, neighbouring stretches", ratios, 0.99, 1.01, note=said),
        median("parent's CPU while NVML is sampled", cpu_share, 0, 10, "% of a core"),
    ]


def _switched(
    folder: Path, running: object, waiting: threading.Thread
) -> tuple[list[tuple[int, int, bool]], list[float]]:
    """Probe and do not probe in turns until the job ends.

    Returns begin, end (ns) and whether it was probed, of each stretch, and the parent's CPU in those that were (%).
    """
    with mock.patch("harness.probes.base.plugins.names", lambda group: ("nvml",)):
        probes = Probes("cuda")
    probes.start(running._pids)  # type: ignore[attr-defined]
    stretches, cpu_share, number = list[tuple[int, int, bool]](), list[float](), 0
    while waiting.is_alive():
        begin, used, probed = time.perf_counter_ns(), time.process_time(), number % 2 == 0
        own = folder / f"probe-{number}"
        own.mkdir()
        sampler = Sampler(own, probes) if probed else None
        time.sleep(STRETCH_S)
        if sampler is not None:
            sampler.stop()
            cpu_share.append(100e9 * (time.process_time() - used) / (time.perf_counter_ns() - begin))
        stretches.append((begin, time.perf_counter_ns(), probed))
        number += 1
    probes.close()
    return stretches, cpu_share


def _median(start: np.ndarray, latency: np.ndarray, begin: int, end: int, probed: bool) -> float:
    """Return the median latency of a stretch that lies in the measured window; NaN of others."""
    inside = (start >= begin) & (start < end)
    whole = start[0] <= begin and end <= start[-1]
    return float(np.median(latency[inside])) if whole and inside.any() else float("nan")


def _short(outcome: Outcome) -> dict[str, object]:
    return {key: value for key, value in outcome.settings.items() if key.startswith(("torch_", "mode", "inputs"))}
