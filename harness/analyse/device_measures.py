"""What cold trials on a device tell together: the energy of an inference with its interval."""

from collections.abc import Sequence

import msgspec

from harness.analyse.measures import over_processes
from harness.analyse.trials import TrialMetrics
from harness.score.records import Measure
from harness.spec.metrics import lookup

ENERGY, USE, MEMORY = "energy_per_inference_mj", "gpu_utilisation", "gpu_memory_peak_mib"


def energy_measure(cold: Sequence[TrialMetrics]) -> tuple[Measure, dict[int, float]] | None:
    """Return the energy of an inference over the cold trials of a cell, and by trial; None where none tells it.

    The interval is Student's over processes, widened by what the counter leaves open; of one process, that alone.
    """
    found = {trial.block: each for trial in cold if (each := trial.gpu.energy or trial.package) is not None}
    if not found:
        return None
    by_trial = {block: each.millijoules for block, each in found.items()}
    n, left_open = sum(each.inferences for each in found.values()), max(each.relative for each in found.values())
    values = [*by_trial.values()]
    if len(values) > 1:
        return _widened(over_processes(ENERGY, values, n), left_open), by_trial
    low, high = values[0] * (1 - left_open), values[0] * (1 + left_open)
    unit = lookup(ENERGY).unit
    return Measure(value=values[0], low=low, high=high, n=n, trials=1, unit=unit, basis="within"), by_trial


def _widened(measure: Measure, relative: float) -> Measure:
    low = None if measure.low is None else measure.low * (1 - relative)
    high = None if measure.high is None else measure.high * (1 + relative)
    return msgspec.structs.replace(measure, low=low, high=high)


def values_on_gpu(trial: TrialMetrics) -> dict[str, float]:
    """Return the metrics that a process on a GPU has but for its energy; none elsewhere."""
    found = {MEMORY: trial.gpu.memory_peak_mib, USE: trial.gpu.utilisation}
    return {key: value for key, value in found.items() if value is not None}
