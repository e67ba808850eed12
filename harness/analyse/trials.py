"""One trial folder → the facts it holds: a value per metric, percentiles with intervals, flags."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.cost.hourly import Rate
from harness.errors import EvidenceError
from harness.spec.metrics import PERCENTILES
from harness.spec.wire import Outcome, ScenarioResult
from harness.stats.quantiles import Quantile, summarise
from harness.trial.folder import read_array, read_outcome

_NS_PER_MS = 1e6
_MIB = 1 << 20
STEAL_LIMIT = 0.01
OTHERS_LIMIT = 0.25


class TrialFacts(NamedTuple):
    """What one trial says. Latencies in ms; `rates` are the ways it ran, with every percentile's latency."""

    block: int
    outcome: Outcome
    values: dict[str, float]
    quantiles: dict[str, Quantile]
    counts: dict[str, int]
    rates: tuple[dict[str, float], ...]
    flags: tuple[str, ...]
    folder: Path


def read_trial(folder: Path, block: int, first_scenario: str) -> TrialFacts | None:
    """Read a trial; None when it has not ended.

    Raises:
        EvidenceError: its evidence is damaged.
    """
    outcome = read_outcome(folder)
    if outcome is None:
        return None
    facts = TrialFacts(block, outcome, {}, {}, {}, (), (), folder)
    if outcome.status != "ok":
        return facts
    facts.values.update(_cell_values(outcome))
    rates: list[dict[str, float]] = []
    for name in dict.fromkeys(result.scenario for result in outcome.scenarios):
        windows = [result for result in outcome.scenarios if result.scenario == name]
        prefix = "" if name == first_scenario else f"{name}."
        rates += _read_scenario(folder, windows, prefix, facts)
    return facts._replace(rates=tuple(rates), flags=_flags(folder, outcome))


def _cell_values(outcome: Outcome) -> dict[str, float]:
    memory = outcome.memory
    known = {
        "load_ms": _scaled(outcome.load_ns, _NS_PER_MS),
        "first_inference_ms": _scaled(outcome.first_inference_ns, _NS_PER_MS),
        "memory_baseline_mib": _scaled(memory.baseline_bytes, _MIB),
        "memory_loaded_mib": _scaled(memory.loaded_bytes, _MIB),
        "memory_peak_mib": _scaled(memory.peak_bytes, _MIB),
        "warm_up_inferences": next((float(r.warm_up_samples) for r in outcome.scenarios), None),
    }
    return {key: value for key, value in known.items() if value is not None}


def _scaled(value: int | None, unit: float) -> float | None:
    return None if value is None else value / unit


def _read_scenario(
    folder: Path, windows: Sequence[ScenarioResult], prefix: str, facts: TrialFacts
) -> list[dict[str, float]]:
    """Add a scenario's metrics to `facts`; returns a rate for each batch size it ran at."""
    rates = []
    for window in windows:
        quantiles = _quantiles(folder / "samples" / f"{window.name}.npy", window)
        throughput = window.batch_size * window.samples / (window.elapsed_ns / 1e9)
        rates.append({"throughput_per_s": throughput, **{key: q.value for key, q in quantiles.items()}})
        if window.kind == "single_stream":
            facts.quantiles.update({prefix + key: q for key, q in quantiles.items()})
            facts.values.update({prefix + key: q.value for key, q in quantiles.items()})
            facts.values[prefix + "latency_mean_ms"] = window.elapsed_ns / window.samples / _NS_PER_MS
            facts.counts.update({prefix + key: window.samples for key in (*quantiles, "latency_mean_ms")})
    best = max(range(len(windows)), key=lambda i: rates[i]["throughput_per_s"])
    facts.values[prefix + "throughput_per_s"] = rates[best]["throughput_per_s"]
    facts.values[prefix + "best_batch_size"] = float(windows[best].batch_size)
    facts.counts[prefix + "throughput_per_s"] = windows[best].samples
    return rates


def _quantiles(path: Path, window: ScenarioResult) -> dict[str, Quantile]:
    samples = read_array(path)
    if samples.dtype != np.int64 or samples.shape != (window.samples,) or not len(samples):
        raise EvidenceError(f"{path}: damaged: {samples.shape} {samples.dtype}, the outcome says {window.samples}")
    if window.elapsed_ns <= 0:
        raise EvidenceError(f"{path}: damaged: {len(samples)} samples took {window.elapsed_ns} ns together")
    found = summarise(samples, tuple(PERCENTILES.values()))
    return {key: _in_ms(found[p]) for key, p in PERCENTILES.items()}


def _in_ms(quantile: Quantile) -> Quantile:
    return Quantile(*(value / _NS_PER_MS for value in quantile))


def rates_at(facts: TrialFacts, latency_key: str) -> list[Rate]:
    """Return the trial's ways of running as (throughput, latency at `latency_key`)."""
    return [Rate(rate["throughput_per_s"], rate[latency_key]) for rate in facts.rates]


def _flags(folder: Path, outcome: Outcome) -> tuple[str, ...]:
    """Name what may have spoilt a trial: an unsteady warm-up, steal, other work on the machine."""
    steady = all(result.steady for result in outcome.scenarios if result.kind == "single_stream")
    flags = [] if steady else ["not steady"]
    shares = host_shares(folder)
    if shares is not None and shares.steal > STEAL_LIMIT:
        flags.append("steal")
    if shares is not None and shares.others > OTHERS_LIMIT:
        flags.append("other work on the machine")
    return tuple(flags)


class HostShares(NamedTuple):
    """Shares of all CPU time during a trial: stolen by the hypervisor; used by others than the child."""

    steal: float
    others: float


def host_shares(folder: Path) -> HostShares | None:
    """Read a trial's telemetry; None where the host did not say, or it was too short to tell."""
    try:
        with (folder / "telemetry.csv").open(encoding="ascii", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("host_total_ticks") and row.get("cpu_ticks")]
        if len(rows) < 2:
            return None
        total, idle, steal, child = (
            _delta(rows, key) for key in ("host_total_ticks", "host_idle_ticks", "host_steal_ticks", "cpu_ticks")
        )
    except (OSError, ValueError, TypeError, csv.Error):  # absent, cut off or damaged: then nothing is known
        return None
    if total < 20:
        return None
    return HostShares(steal / total, max(0.0, total - idle - steal - child) / total)


def _delta(rows: Sequence[dict[str, str]], key: str) -> float:
    return float(rows[-1][key]) - float(rows[0][key])
