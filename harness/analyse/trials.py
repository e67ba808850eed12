"""One trial's folder → its metrics: a value per metric, percentiles with intervals, warnings."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.errors import SpecError
from harness.evidence.folder import read_outcome, read_requests, telemetry_changes
from harness.scenarios.base import NS_PER_MS, MeasuredWindow, kind
from harness.spec.arrays import Array
from harness.spec.metrics import PERCENTILES, metric_names, split_key
from harness.spec.policy import Policy
from harness.spec.scenario import Scenario, kind_of
from harness.spec.wire import Outcome, Window
from harness.stats.certify import Certificate, certify_in_order, planned_looks
from harness.stats.quantiles import Quantile

_MIB = 1 << 20
STEAL_LIMIT = 0.01
OTHERS_LIMIT = 0.25
_FEWEST_HOST_SECONDS = 0.2


class TrialMetrics(NamedTuple):
    """What one trial says. Latencies in ms; `rates` has throughput and latencies by window; `warnings` are codes."""

    block: int
    outcome: Outcome
    values: dict[str, float]
    quantiles: dict[str, Quantile]
    counts: dict[str, int]
    rates: tuple[dict[str, float], ...]
    warnings: tuple[str, ...]
    folder: Path

    def windows(self, scenario: str) -> list[Window]:
        """Return the windows of a scenario."""
        return [window for window in self.outcome.windows if window.scenario == scenario]

    def latencies(self, scenario: str) -> Array | None:
        """Open the latencies (ns) of a scenario's last window; None if it was not run. EvidenceError if damaged."""
        windows = self.windows(scenario)
        return read_requests(self.folder, windows[-1].name, samples=windows[-1].samples) if windows else None


def read_trial(folder: Path, block: int, scenarios: Sequence[Scenario]) -> TrialMetrics | None:
    """Read a trial of a suite with these scenarios; None when it has not ended. Raises EvidenceError if damaged."""
    outcome = read_outcome(folder)
    if outcome is None:
        return None
    trial = TrialMetrics(block, outcome, {}, {}, {}, (), (), folder)
    if outcome.status != "ok":
        return trial
    trial.values.update(_cell_values(outcome))
    rates: list[dict[str, float]] = []
    for index, scenario in enumerate(scenarios):
        windows = [MeasuredWindow(window, folder) for window in trial.windows(scenario.name)]
        if windows:
            prefix = f"{scenario.name}." if index else ""
            found = kind(scenario).metrics(scenario, windows)
            _refuse_unregistered(scenario, found.values)
            trial.values.update({prefix + key: value for key, value in found.values.items()})
            trial.quantiles.update({prefix + key: quantile for key, quantile in found.quantiles.items()})
            trial.counts.update({prefix + key: count for key, count in found.counts.items()})
            rates += found.rates
    return trial._replace(rates=tuple(rates), warnings=_warnings(folder, outcome, scenarios))


def _refuse_unregistered(scenario: Scenario, values: Iterable[str]) -> None:
    unknown = sorted(set(values) - set(metric_names()))
    if unknown:
        what = f"gives the metric '{unknown[0]}', which is not registered"
        raise SpecError(f"scenario kind '{kind_of(scenario)}'", what, "register it in harness.metrics")


def _cell_values(outcome: Outcome) -> dict[str, float]:
    memory = outcome.memory
    counts = {
        "load_ms": (outcome.load_ns, NS_PER_MS),
        "first_inference_ms": (outcome.first_inference_ns, NS_PER_MS),
        "memory_baseline_mib": (memory.baseline_bytes, _MIB),
        "memory_loaded_mib": (memory.loaded_bytes, _MIB),
        "memory_peak_mib": (memory.peak_bytes, _MIB),
        "warm_up_inferences": (outcome.windows[0].warm_up_samples if outcome.windows else None, 1),
    }
    return {key: count / unit for key, (count, unit) in counts.items() if count is not None}


def _warnings(folder: Path, outcome: Outcome, scenarios: Sequence[Scenario]) -> tuple[str, ...]:
    """Name what may have disturbed a trial: an unsteady warm-up, steal, other work on the machine."""
    timed = {scenario.name for scenario in scenarios if kind(scenario).times_requests}
    unsteady = any(window.scenario in timed and not window.steady for window in outcome.windows)
    steal, others = host_fractions(folder) or (0.0, 0.0)  # where the host does not tell, there is no warning
    found = {"not_steady": unsteady, "steal": steal > STEAL_LIMIT, "other_work": others > OTHERS_LIMIT}
    return tuple(code for code, applies in found.items() if applies)


class HostFractions(NamedTuple):
    """Fractions of all CPU time during a trial: stolen by the hypervisor; used by other processes."""

    steal: float
    others: float


def host_fractions(folder: Path) -> HostFractions | None:
    """Read a trial's telemetry; None where the host did not tell, or the trial was too short."""
    columns = ("host.total_s", "host.idle_s", "host.steal_s", "process.cpu_s")
    changes = telemetry_changes(folder, columns)
    if changes is None or changes["host.total_s"] < _FEWEST_HOST_SECONDS:
        return None
    total, idle, steal, child = (changes[column] for column in columns)
    return HostFractions(steal / total, max(0.0, total - idle - steal - child) / total)


def certificate(trials: Sequence[TrialMetrics], key: str, bound_ms: float, first_scenario: str) -> Certificate:
    """Judge "the percentile `key` is at most `bound_ms`" on the samples of `trials` in the order measured.

    At most the samples of the last planned look are read. Samples of one process are not independent, so
    this certifies what was seen; what other processes would show is in the interval over trials.
    """
    scenario, name = split_key(key)
    p = PERCENTILES[name]
    wanted = planned_looks(p=p)[-1]
    parts: list[Array] = []
    for trial in trials:
        latencies = trial.latencies(scenario or first_scenario) if wanted > 0 else None
        if latencies is not None:
            parts.append(np.array(latencies[:wanted]))
            wanted -= len(parts[-1])
    return certify_in_order(np.concatenate(parts), bound_ms * NS_PER_MS, p) if parts else "undecided"


def bounds(policy: Policy) -> dict[str, float]:
    """Return the upper bounds (ms) that the policy sets on latency percentiles."""
    return {
        key: limit.max
        for key, limit in policy.limits.items()
        if split_key(key)[1] in PERCENTILES and limit.max is not None
    }
