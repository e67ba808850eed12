"""One trial's folder → its metrics: a value per metric, percentiles, warnings; and its requests."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from harness.analyse.devices import Inference, OnGpu, on_gpu
from harness.analyse.packages import on_packages
from harness.errors import EvidenceError, SpecError
from harness.evidence.files import read_array
from harness.evidence.folder import (
    DUE,
    LATENCY,
    SLICE_COLUMNS,
    SLICES,
    START,
    read_outcome,
    read_requests,
    telemetry_changes,
)
from harness.scenarios.base import NS_PER_MS, MeasuredWindow, kind
from harness.spec.arrays import Array, Integers
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.metrics import PERCENTILES, metric_names, split_key
from harness.spec.outcome import Outcome, Window
from harness.spec.policy import Policy
from harness.spec.scenario import Scenario, kind_of
from harness.stats.certify import Certificate, certify_in_order, planned_looks
from harness.stats.quantiles import Quantile

_FEWEST_HOST_SECONDS = 0.2


class TrialMetrics(NamedTuple):
    """What one trial says. Latencies in ms; `warnings` are what it is to be read with care for.

    `timed` names, for each percentile, the window whose requests it is a percentile of. A cold trial has a number
    (`block`) of its own count; only its start, memory and predictions are used, never its latencies.
    """

    block: int
    outcome: Outcome
    values: dict[str, float]
    quantiles: dict[str, Quantile]
    counts: dict[str, int]
    timed: dict[str, str]
    warnings: tuple[Diagnostic, ...]
    folder: Path
    gpu: OnGpu = OnGpu()
    package: Inference | None = None

    def windows(self, scenario: str) -> list[Window]:
        """Return the windows of a scenario."""
        return [window for window in self.outcome.windows if window.scenario == scenario]

    def window(self, name: str) -> Window:
        """Return a window by its name; KeyError if there is none."""
        return {window.name: window for window in self.outcome.windows}[name]

    def requests(self, window: str, array: str = LATENCY) -> Array:
        """Open one array of a window's requests (ns), memory-mapped; EvidenceError if it is damaged."""
        return read_requests(self.folder, window, array, self.window(window).samples)

    def queued(self, window: str) -> bool:
        """Whether the requests of a window are those of an open loop, so that they wait for one another."""
        return self.window(window).open_loop is not None

    def service(self, scenario: str) -> Array | None:
        """Open the times (ns) that requests of a scenario's last window took to be served, without waiting for it."""
        latency, windows = self.latencies(scenario), self.windows(scenario)
        if latency is None or windows[-1].open_loop is None:
            return latency
        start, due = (self.requests(windows[-1].name, array) for array in (START, DUE))
        return np.asarray(latency - (start - due))

    def latencies(self, scenario: str) -> Array | None:
        """Open the latencies (ns) of a scenario's last window; None if it was not run. EvidenceError if damaged."""
        windows = self.windows(scenario)
        return self.requests(windows[-1].name) if windows else None

    def throughput_per_s(self, window: str) -> float:
        """Return the inferences per second of a window."""
        found = self.window(window)
        return found.batch_size * found.samples / (found.elapsed_ns / 1e9)

    def slices(self) -> Integers:
        """Return the slices of the trial, [m, 6]; none where it has no such file. EvidenceError if it is damaged."""
        none = np.zeros((0, len(SLICE_COLUMNS)), dtype=np.int64)
        found = read_array(self.folder / SLICES) if SLICES in self.outcome.files else none
        if found.dtype != none.dtype or found.shape[1:] != none.shape[1:]:
            raise EvidenceError(f"{self.folder / SLICES}: damaged: {found.shape} {found.dtype}")
        return found


def read_trial(folder: Path, block: int, scenarios: Sequence[Scenario]) -> TrialMetrics | None:
    """Read a trial of a suite with these scenarios; None when it has not ended. Raises EvidenceError if damaged."""
    outcome = read_outcome(folder)
    if outcome is None:
        return None
    trial = TrialMetrics(block, outcome, {}, {}, {}, {}, (), folder, on_gpu(folder, outcome, alone=False))
    if outcome.status != "ok":
        return trial
    if outcome.windows:
        trial.values["warm_up_inferences"] = float(outcome.windows[0].warm_up_samples)
    said = [
        each
        for index, scenario in enumerate(scenarios)
        for each in _add_scenario(trial, scenario, f"{scenario.name}." if index else "")
    ]
    return trial._replace(warnings=(*_not_steady(outcome, scenarios), *said))


def read_cold(folder: Path, number: int) -> TrialMetrics | None:
    """Read a cold trial; None when it has not ended. Raises EvidenceError if it is damaged."""
    outcome = read_outcome(folder)
    if outcome is None:
        return None
    gpu, package = on_gpu(folder, outcome, alone=True), on_packages(folder, outcome)
    return TrialMetrics(number, outcome, {}, {}, {}, {}, (), folder, gpu, package)


def _add_scenario(trial: TrialMetrics, scenario: Scenario, prefix: str) -> tuple[Diagnostic, ...]:
    """Add a scenario's metrics to those of its trial; returns its warnings, with the prefix of its metrics."""
    windows = [MeasuredWindow(window, trial.folder) for window in trial.windows(scenario.name)]
    if not windows:
        return ()
    found = kind(scenario).metrics(scenario, windows)
    _refuse_unregistered(scenario, found.values)
    trial.values.update({prefix + key: value for key, value in found.values.items()})
    trial.quantiles.update({prefix + key: quantile for key, quantile in found.quantiles.items()})
    trial.counts.update({prefix + key: count for key, count in found.counts.items()})
    trial.timed.update({prefix + key: windows[-1].record.name for key in found.quantiles})
    return tuple(msgspec.structs.replace(each, data=each.data | {"prefix": prefix}) for each in found.warnings)


def _refuse_unregistered(scenario: Scenario, values: Iterable[str]) -> None:
    unknown = sorted(set(values) - set(metric_names()))
    if unknown:
        what = f"gives the metric '{unknown[0]}', which is not registered"
        raise SpecError(f"scenario kind '{kind_of(scenario)}'", what, "register it in harness.metrics")


def _not_steady(outcome: Outcome, scenarios: Sequence[Scenario]) -> tuple[Diagnostic, ...]:
    """Say that a warm-up did not reach a steady state."""
    timed = {scenario.name for scenario in scenarios if kind(scenario).times_requests}
    unsteady = any(window.scenario in timed and not window.steady for window in outcome.windows)
    return (diagnostic("not_steady", "not steady"),) if unsteady else ()


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
    this certifies what was seen; what other processes would show is in the interval over trials. In an open loop, where
    a request that is late makes the next ones late, nothing is certified so.
    """
    scenario, name = split_key(key)
    if any(window.open_loop is not None for trial in trials for window in trial.windows(scenario or first_scenario)):
        return "undecided"
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
