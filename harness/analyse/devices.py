"""What NVML saw beside a trial → GPU memory, use and energy; and what a trial on a GPU is to be read with care for.

Energy and use are those of the whole GPU. They count for a process that ran alone: a cold trial, never a turn of 25 ms
between other cells' turns.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from harness.analyse.measures import over_processes
from harness.analyse.trials import TrialMetrics
from harness.errors import EvidenceError
from harness.evidence.folder import LATENCY, START, read_events, read_job, read_telemetry
from harness.score.records import Measure
from harness.spec.arrays import Floats
from harness.spec.metrics import lookup
from harness.spec.wire import Fact, Outcome, ProbeRecord, Trial, Window
from harness.stats.energy import Energy, energy_between

PROBE = "nvml"
ENERGY, USE, MEMORY = "energy_per_inference_mj", "gpu_utilisation", "gpu_memory_peak_mib"
SETTLED_S = 1.0
"""From so long after the begin of a window on, NVML's utilisation (the last 1/6 to 1 s) is the window's own."""
CONTEXT_BYTES = 600 << 20
"""What a CUDA context and its libraries take beside torch's allocator, where NVML does not show the process."""
_MIB, _NS = 1 << 20, 1e9
_NEEDED = {
    *("t_ns", "utilisation", "process_memory_bytes", "power_w", "energy_mj"),
    *("sm_clock_mhz", "clock_reasons", "other_processes"),
}


class Watched(NamedTuple):
    """What NVML recorded beside one trial: facts, columns of samples, and the measured windows (begin, end; s)."""

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
        """Whether processes that are not this run's were seen on the GPU beside the trial."""
        return bool((self.columns["other_processes"] > 0).any())


def watched(trial: TrialMetrics) -> Watched | None:
    """Return what NVML recorded beside a trial; None where it did not, or of another GPU than the trial ran on."""
    record, columns = _record(trial.outcome), read_telemetry(trial.folder, PROBE)
    if record is None or not columns.keys() >= _NEEDED or _another(trial.outcome, record):
        return None
    return Watched(record.facts, columns, _windows(trial))


def _record(outcome: Outcome) -> ProbeRecord | None:
    record = outcome.launched.probes.get(PROBE) if outcome.launched is not None else None
    return record if record is not None and record.facts else None


def _another(outcome: Outcome, record: ProbeRecord) -> bool:
    """Whether the child says that it ran on another GPU; CUDA may count devices in another order than NVML."""
    own, seen = outcome.settings.get("device_uuid"), record.facts.get("uuid")
    return isinstance(own, str) and isinstance(seen, str) and not seen.startswith("MIG-") and own != seen


def _windows(trial: TrialMetrics) -> dict[str, tuple[float, float]]:
    """Return begin and end of each measured window, as the child marked them (s)."""
    marks = {event.phase: event.t_ns / _NS for event in read_events(trial.folder)[0]}
    names = [window.name for window in trial.outcome.windows]
    whole = [name for name in names if f"measure:{name}" in marks and f"measured:{name}" in marks]
    return {name: (marks[f"measure:{name}"], marks[f"measured:{name}"]) for name in whole}


def memory_peak_mib(trial: TrialMetrics) -> float | None:
    """Return the highest memory of the trial's process on the GPU that was seen (MiB); None where NVML shows none."""
    found = watched(trial)
    seen = np.zeros(0) if found is None else found.columns["process_memory_bytes"]
    known = seen[np.isfinite(seen)]
    return float(known.max()) / _MIB if known.size else None


def utilisation(trial: TrialMetrics) -> float | None:
    """Return the mean utilisation (0 to 1) in the longest window of a trial that ran alone; None where it is short."""
    found = watched(trial)
    if found is None or not found.windows or found.shared:
        return None
    begin_s, end_s = max(found.windows.values(), key=lambda window: window[1] - window[0])
    values = found.within("utilisation", begin_s + SETTLED_S, end_s)
    return float(values.mean()) if values.size >= 2 else None


class Inference(NamedTuple):
    """The energy of one inference (mJ), to ± `relative` of it, from a number of inferences; and the energy itself."""

    millijoules: float
    relative: float
    inferences: int
    energy: Energy


def inference_energy(trial: TrialMetrics) -> Inference | None:
    """Return the energy of an inference in a trial that ran alone.

    None where no window is long enough for the counter, others used the GPU, it is divided (MIG), or a flushed cache
    is part of the energy. Inferences count by when they end; one at each end of the time is in doubt.
    """
    found = watched(trial)
    if found is None or found.shared or found.facts.get("mig") or _flushes(trial):
        return None
    for window in trial.outcome.windows:
        energy = _energy(found, window.name)
        if energy is not None:
            return _per_inference(trial, window, energy)
    return None


def _flushes(trial: TrialMetrics) -> bool:
    try:
        job = read_job(trial.folder)
    except EvidenceError:
        return True  # not known
    return isinstance(job, Trial) and bool(job.target.options.get("flush_l2", False))


def _energy(found: Watched, window: str) -> Energy | None:
    if window not in found.windows:
        return None
    columns = (found.columns["energy_mj"], found.columns["power_w"])
    return energy_between(found.t_s, *columns, *found.windows[window])


def _per_inference(trial: TrialMetrics, window: Window, energy: Energy) -> Inference | None:
    ends_s = (trial.requests(window.name, START) + trial.requests(window.name, LATENCY)) / _NS
    requests = int(((ends_s > energy.begin_s) & (ends_s <= energy.end_s)).sum())
    if requests < 2:
        return None
    inferences = requests * window.batch_size
    return Inference(1e3 * energy.joules / inferences, energy.relative + 1 / requests, inferences, energy)


def energy_measure(cold: Sequence[TrialMetrics]) -> tuple[Measure, dict[int, float]] | None:
    """Return the energy of an inference over the cold trials of a cell, and by trial; None where none tells it.

    The interval is Student's over processes, widened by what the counter leaves open; of one process, that alone.
    """
    found = {trial.block: each for trial in cold if (each := inference_energy(trial)) is not None}
    if not found:
        return None
    values, open_ = [each.millijoules for each in found.values()], max(each.relative for each in found.values())
    n, (value, *_) = sum(each.inferences for each in found.values()), values
    if len(values) == 1:
        ends = {"low": value * (1 - open_), "high": value * (1 + open_)}
        measure = Measure(value=value, **ends, n=n, trials=1, unit=lookup(ENERGY).unit, basis="within")
    else:
        measure = _widened(over_processes(ENERGY, values, n), open_)
    return measure, {block: each.millijoules for block, each in found.items()}


def _widened(measure: Measure, relative: float) -> Measure:
    low = None if measure.low is None else measure.low * (1 - relative)
    high = None if measure.high is None else measure.high * (1 + relative)
    return msgspec.structs.replace(measure, low=low, high=high)


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
    if clocks.size < 2 or clocks.size != reasons.size:
        return None
    busy = clocks[(reasons.astype(np.int64) & 1) == 0]
    return (float(busy.min()), float(busy.max())) if busy.size >= 2 and math.isfinite(busy.min()) else None
