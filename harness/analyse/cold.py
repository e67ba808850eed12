"""What only a fresh process shows: time to load, the first inference, memory; on a GPU, how much of that it used.

A fork has the runtime in its memory from the start, and its inherited pages are charged to its template.
"""

from collections.abc import Sequence

from harness.analyse.device_measures import values_on_gpu
from harness.analyse.trials import TrialMetrics
from harness.scenarios.base import NS_PER_MS
from harness.spec.outcome import Outcome

_MIB = 1 << 20


def by_process(cold: Sequence[TrialMetrics], trials: Sequence[TrialMetrics]) -> dict[int, dict[str, float]]:
    """Return the cold metrics of each fresh process by its number: the cold trials, and trials that were not forks.

    `cold-01` has number 0. Behind the cold trials, a fresh trial of block b has number b + 1; alone, b.
    """
    found = {trial.block: _values(trial) for trial in cold if _is_fresh(trial)}
    shift = 1 if found else 0
    for trial in trials:
        if _is_fresh(trial):
            found.setdefault(trial.block + shift, _values(trial))
    return dict(sorted(found.items()))


def _values(trial: TrialMetrics) -> dict[str, float]:
    return values_of(trial.outcome) | values_on_gpu(trial)


def _is_fresh(trial: TrialMetrics) -> bool:
    return trial.outcome.status == "ok" and trial.outcome.fresh


def values_of(outcome: Outcome) -> dict[str, float]:
    """Return what an outcome tells of a process; the rows that the model was fed from are not the model's memory."""
    memory, inputs = outcome.memory, outcome.memory.inputs_bytes or 0
    counts = {
        "load_ms": (outcome.load_ns, NS_PER_MS),
        "first_inference_ms": (outcome.first_inference_ns, NS_PER_MS),
        "memory_baseline_mib": (memory.baseline_bytes, _MIB),
        "memory_loaded_mib": (memory.loaded_bytes, _MIB),
        "memory_peak_mib": (_less(memory.peak_bytes, inputs), _MIB),
        "memory_anon_mib": (_less(memory.anon_bytes, inputs), _MIB),
        "memory_pss_mib": (_less(memory.pss_bytes, inputs), _MIB),
    }
    return {key: count / unit for key, (count, unit) in counts.items() if count is not None}


def _less(count: int | None, inputs: int) -> int | None:
    return None if count is None else max(0, count - inputs)
