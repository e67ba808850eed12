"""Percentiles of an open loop that some trials could not keep up with: their requests count as slower than any bound.

In such a trial the queue grows as long as it is offered the load, so that its latencies tell the length of the window.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from harness.analyse.trials import TrialMetrics
from harness.scenarios.base import NS_PER_MS
from harness.score.records import Measure
from harness.spec.arrays import Array
from harness.spec.metrics import PERCENTILES, lookup
from harness.stats.pooled import pooled_quantiles
from harness.stats.quantiles import quantile_index

_ENDLESS_NS = 1 << 62


def with_saturated(trials: Sequence[TrialMetrics]) -> dict[str, tuple[Measure, dict[int, float]]]:
    """Return the percentiles (ms) of scenarios that some trials, but not all, could keep up with; and by block.

    A percentile that is among the requests without bound is left out. An interval ends at requests that were served:
    an end beyond them is open. By block a saturated trial has the percentile of what it served, which is too low.
    """
    said = [warning for trial in trials for warning in trial.warnings if warning.code == "saturated"]
    scenarios = {str(each.data["prefix"]): str(each.data["scenario"]) for each in said}
    found: dict[str, tuple[Measure, dict[int, float]]] = {}
    for prefix, scenario in scenarios.items():
        names = [name for name in PERCENTILES if any(prefix + name in trial.timed for trial in trials)]
        served = [latency for trial in trials if (latency := trial.latencies(scenario)) is not None]
        if names and len(served) == len(trials):
            found |= _measured(trials, served, scenario, prefix, names)
    return found


def _measured(
    trials: Sequence[TrialMetrics], served: Sequence[Array], scenario: str, prefix: str, names: Sequence[str]
) -> dict[str, tuple[Measure, dict[int, float]]]:
    kept_up = [any(prefix + name in trial.timed for name in names) for trial in trials]
    whole = [
        each if ok else np.full(_offered(trial, scenario), _ENDLESS_NS, dtype=np.int64)
        for each, trial, ok in zip(served, trials, kept_up, strict=True)
    ]
    known = [each for each, ok in zip(served, kept_up, strict=True) if ok]
    told = pooled_quantiles(whole, [PERCENTILES[name] for name in names])
    found = {}
    for name in names:
        quantile = told[PERCENTILES[name]]
        if quantile.value < _ENDLESS_NS:
            measure = Measure(
                value=quantile.value / NS_PER_MS,
                low=_end(quantile.low, known),
                high=_end(quantile.high, known),
                n=sum(each.size for each in whole),
                trials=len(trials),
                unit=lookup(name).unit,
                basis="pooled",
                effective_n=quantile.effective_n,
            )
            by_block = {trial.block: _own_ms(each, name) for trial, each in zip(trials, served, strict=True)}
            found[prefix + name] = measure, by_block
    return found


def _offered(trial: TrialMetrics, scenario: str) -> int:
    """Count the requests that a trial was offered, served or not."""
    window = trial.windows(scenario)[-1]
    return window.samples if window.open_loop is None else window.open_loop.offered


def _end(end_ns: float, served: Iterable[Array]) -> float | None:
    """Return an end (ms) that is the latency of a request; None for others, which follow from how slow endless is."""
    return end_ns / NS_PER_MS if any(bool(np.any(each == end_ns)) for each in served) else None


def _own_ms(latency: Array, name: str) -> float:
    index = quantile_index(latency.size, PERCENTILES[name])
    return float(np.partition(latency, index)[index]) / NS_PER_MS
