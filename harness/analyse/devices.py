"""What NVML saw beside a process on a GPU: its memory there, how much of the GPU was used, the energy of an inference.

Energy and use are those of the whole GPU. They count for a process that ran alone: a cold trial, never a turn of 25 ms
between other cells' turns.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.errors import EvidenceError
from harness.evidence.folder import LATENCY, START, read_events, read_job, read_requests, read_telemetry
from harness.spec.arrays import Floats
from harness.spec.outcome import Fact, Outcome, ProbeRecord, Window
from harness.spec.wire import Trial
from harness.stats.energy import Energy, energy_between

PROBE = "nvml"
SETTLED_S = 1.0
"""From so long after the begin of a window on, NVML's utilisation (the last 1/6 to 1 s) is the window's own."""
CONTEXT_BYTES = 600 << 20
"""What a CUDA context and its libraries take beside torch's allocator: 550 to 700 MiB were seen."""
_MIB, _NS = 1 << 20, 1e9
_NEEDED = {
    *("t_ns", "utilisation", "process_memory_bytes", "power_w", "energy_mj"),
    *("sm_clock_mhz", "clock_reasons", "other_processes"),
}


class Watched(NamedTuple):
    """What NVML recorded beside one job: facts, columns of samples, and the measured windows (begin, end; s)."""

    facts: dict[str, Fact]
    columns: dict[str, Floats]
    windows: dict[str, tuple[float, float]]

    @property
    def t_s(self) -> Floats:
        """When the samples were taken (s)."""
        return self.columns["t_ns"] / _NS

    def within(self, column: str, begin_s: float, end_s: float) -> Floats:
        """Return the known samples of a column in a time."""
        values = self.columns[column][(self.t_s >= begin_s) & (self.t_s <= end_s)]
        return values[np.isfinite(values)]

    def measured(self, column: str) -> Floats:
        """Return the known samples of a column in all measured windows."""
        return np.concatenate([np.zeros(0), *(self.within(column, *window) for window in self.windows.values())])

    @property
    def shared(self) -> bool:
        """Whether processes that are not this run's were seen on the GPU beside the job."""
        return bool((self.columns["other_processes"] > 0).any())


def gpu_facts(outcomes: Iterable[Outcome]) -> Mapping[str, Fact]:
    """Return what NVML told of the GPU beside the first of these processes that it watched; empty where none."""
    for outcome in outcomes:
        if outcome.launched is not None and (told := outcome.launched.probes.get(PROBE)) is not None and told.facts:
            return told.facts
    return {}


class Inference(NamedTuple):
    """The energy of one inference (mJ), to ± `relative` of it, from a number of inferences; and the energy itself."""

    millijoules: float
    relative: float
    inferences: int
    energy: Energy


class OnGpu(NamedTuple):
    """What is known of a process on a GPU; None where it is not."""

    memory_peak_mib: float | None = None
    utilisation: float | None = None
    energy: Inference | None = None


def on_gpu(folder: Path, outcome: Outcome, alone: bool) -> OnGpu:
    """Return what NVML tells of a job; of a process that did not run `alone` only its memory."""
    found = watched(folder, outcome)
    if found is None:
        return OnGpu()
    memory = _memory_peak_mib(found)
    return OnGpu(memory, _utilisation(found), _inference(found, folder, outcome)) if alone else OnGpu(memory)


def watched(folder: Path, outcome: Outcome) -> Watched | None:
    """Return what NVML recorded beside a job; None where it did not, or of another GPU than the job ran on."""
    record = _record(outcome)
    columns = {} if record is None else read_telemetry(folder, PROBE)
    if record is None or not columns.keys() >= _NEEDED or _another(outcome, record):
        return None
    return Watched(record.facts, columns, windows_of(folder, outcome))


def _record(outcome: Outcome) -> ProbeRecord | None:
    record = outcome.launched.probes.get(PROBE) if outcome.launched is not None else None
    return record if record is not None and record.facts else None


def _another(outcome: Outcome, record: ProbeRecord) -> bool:
    """Whether the child says that it ran on another GPU; CUDA may count devices in another order than NVML."""
    own, seen = outcome.settings.get("device_uuid"), record.facts.get("uuid")
    return isinstance(own, str) and isinstance(seen, str) and not seen.startswith("MIG-") and own != seen


def windows_of(folder: Path, outcome: Outcome) -> dict[str, tuple[float, float]]:
    """Return begin and end of each measured window, as the child marked them (s)."""
    marks = {event.phase: event.t_ns / _NS for event in read_events(folder)[0]}
    names = [window.name for window in outcome.windows]
    whole = [name for name in names if f"measure:{name}" in marks and f"measured:{name}" in marks]
    return {name: (marks[f"measure:{name}"], marks[f"measured:{name}"]) for name in whole}


def _memory_peak_mib(found: Watched) -> float | None:
    """Return the highest memory of the process on the GPU that was seen; None where NVML shows none."""
    seen = found.columns["process_memory_bytes"]
    known = seen[np.isfinite(seen)]
    return float(known.max()) / _MIB if known.size else None


def _utilisation(found: Watched) -> float | None:
    """Return the mean utilisation (0 to 1) in the longest window; None where that is short, or others used the GPU."""
    if not found.windows or found.shared:
        return None
    begin_s, end_s = max(found.windows.values(), key=lambda window: window[1] - window[0])
    values = found.within("utilisation", begin_s + SETTLED_S, end_s)
    return float(values.mean()) if values.size >= 2 else None


def _inference(found: Watched, folder: Path, outcome: Outcome) -> Inference | None:
    """Return the energy of an inference.

    None where no window is long enough for the counter, others used the GPU, it is divided (MIG), or a flushed cache
    is part of the energy.
    """
    if found.shared or found.facts.get("mig") or _flushes(folder):
        return None
    counter, power = found.columns["energy_mj"], found.columns["power_w"]
    for window in outcome.windows:
        if window.name in found.windows:
            energy = energy_between(found.t_s, counter, power, *found.windows[window.name])
            if energy is not None:
                return per_inference(folder, window, energy)
    return None


def _flushes(folder: Path) -> bool:
    """Whether caches are flushed between requests; taken for granted where the job cannot be read."""
    try:
        job = read_job(folder)
    except EvidenceError:
        return True
    return isinstance(job, Trial) and bool(job.target.options.get("flush_l2", False))


def per_inference(folder: Path, window: Window, energy: Energy) -> Inference | None:
    """Divide energy by the inferences that ended in its time; one request at each end is in doubt."""
    start, latency = (read_requests(folder, window.name, array, window.samples) for array in (START, LATENCY))
    ends_s = (start + latency) / _NS
    requests = int(((ends_s > energy.begin_s) & (ends_s <= energy.end_s)).sum())
    if requests < 2:
        return None
    inferences = requests * window.batch_size
    return Inference(1e3 * energy.joules / inferences, energy.relative + 1 / requests, inferences, energy)


def share_of_device(outcome: Outcome) -> float:
    """Return which part of its GPU's memory a process takes (0 to 1); 1 where the GPU takes one process at a time."""
    if is_exclusive(outcome):
        return 1.0
    total = outcome.settings.get("device_total_bytes")
    held = outcome.settings.get("torch_reserved_peak_bytes")
    if not isinstance(total, int) or not isinstance(held, int):
        return 0.0
    return min(1.0, (held + CONTEXT_BYTES) / total)


def is_exclusive(outcome: Outcome) -> bool:
    """Whether the compute mode of a process's GPU lets only one process use it at a time."""
    record = _record(outcome)
    return record is not None and str(record.facts.get("compute_mode", "")).startswith("exclusive")


def clock_range(found: Watched) -> tuple[float, float] | None:
    """Return the lowest and highest SM clock (MHz) while windows were measured and the GPU was not idle."""
    clocks, reasons = found.measured("sm_clock_mhz"), found.measured("clock_reasons")
    if clocks.size != reasons.size:
        return None
    busy = clocks[(reasons.astype(np.int64) & 1) == 0]
    return (float(busy.min()), float(busy.max())) if busy.size >= 2 else None
