"""The energy of an inference on the CPU: that of all packages and their DRAM (RAPL), over a window of a cold trial.

The counters tell no processes apart, and nothing is subtracted: what the machine takes when idle, and what other
processes take, is part of it. As on a GPU, it counts for a process that ran alone, never for turns among other cells'.
"""

from pathlib import Path

import numpy as np

from harness.analyse.devices import Inference, per_inference, windows_of
from harness.evidence.folder import read_telemetry
from harness.spec.arrays import Floats
from harness.spec.outcome import Outcome
from harness.stats.energy import energy_between

PROBE, PACKAGE, DRAM = "rapl", "package_mj", "dram_mj"
_NS = 1e9


def on_packages(folder: Path, outcome: Outcome) -> Inference | None:
    """Return the energy of an inference; None where it is not told, or no window is long enough for the counter."""
    if why_unknown(outcome) is not None:
        return None
    columns = read_telemetry(folder, PROBE)
    if not columns.keys() >= {"t_ns", PACKAGE, DRAM}:
        return None
    t_s, counter_mj = columns["t_ns"] / _NS, _summed(columns[PACKAGE], columns[DRAM])
    windows, no_power = windows_of(folder, outcome), np.full(len(t_s), np.nan)
    for window in outcome.windows:
        if window.name in windows:
            energy = energy_between(t_s, counter_mj, no_power, *windows[window.name])
            if energy is not None:
                return per_inference(folder, window, energy)
    return None


def _summed(package_mj: Floats, dram_mj: Floats) -> Floats:
    """Return both together; the package alone where no DRAM is told in any sample."""
    return package_mj if not np.isfinite(dram_mj).any() else package_mj + dram_mj


def why_unknown(outcome: Outcome) -> str | None:
    """Return why the probe could not tell of a trial; None where it told, or the trial knows of no such probe."""
    record = outcome.launched.probes.get(PROBE) if outcome.launched is not None else None
    return record.unavailable or None if record is not None else None
