"""Per-trial values and pooled requests → measures with their intervals."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec

from harness.analyse.requests import pooled
from harness.analyse.saturated import with_saturated
from harness.analyse.trials import TrialMetrics
from harness.evidence.folder import DEVICE, LATENCY
from harness.score.records import Measure
from harness.spec.metrics import DEVICE_PERCENTILES, lookup, split_key
from harness.stats.across import TrialEstimate, over_trials
from harness.stats.pooled import PooledQuantile

CAPACITY, HOLDS, BREAKS = "capacity_per_s", "capacity_holds_per_s", "capacity_breaks_per_s"


class Measured(NamedTuple):
    """Metrics of one cell as an `Entry` has them: measures, values by block, loads by block."""

    metrics: dict[str, Measure]
    trials: dict[str, tuple[float, ...]]
    loads: dict[str, tuple[float, ...]]


def measured(trials: Sequence[TrialMetrics]) -> Measured:
    """Measure what the trials tell of their windows; a metric that some trial lacks is not known.

    Of an open loop that some trials could not keep up with, percentiles are (`with_saturated`), without loads.
    """
    keys = [key for key in trials[0].values if all(key in trial.values for trial in trials)]
    quantiles = percentiles(trials, [key for key in keys if all(key in trial.timed for trial in trials)])
    by_block = {key: {trial.block: trial.values[key] for trial in trials} for key in keys}
    counts = {key: sum(trial.counts.get(key, 1) for trial in trials) for key in keys}
    metrics = {
        key: _of_requests(key, quantiles[key], counts[key], len(trials))
        if key in quantiles
        else over_processes(key, list(by_block[key].values()), counts[key])
        for key in keys
    }
    for key, (measure, values) in with_saturated(trials).items():
        metrics[key], by_block[key] = measure, values
    return Measured(
        bracketed(metrics, trials),
        {key: padded(values) for key, values in by_block.items()},
        {key: padded(_loads(trials, found)) for key, found in quantiles.items()},
    )


def percentiles(trials: Sequence[TrialMetrics], keys: Sequence[str]) -> dict[str, PooledQuantile]:
    """Return percentiles (ms) over the requests of all these trials; each array of a scenario is sorted once."""
    found: dict[str, PooledQuantile] = {}
    for (_, array), group in groupby(sorted(keys, key=_array), key=_array):
        full = {split_key(key)[1]: key for key in group}
        one = next(iter(full.values()))
        times = [trial.requests(trial.timed[one], array) for trial in trials]
        queued = array == LATENCY and any(trial.queued(trial.timed[one]) for trial in trials)
        found |= {full[name]: quantile for name, quantile in pooled(times, [*full], queued).items()}
    return found


def bracketed(metrics: Mapping[str, Measure], trials: Sequence[TrialMetrics]) -> dict[str, Measure]:
    """Widen each capacity's interval over trials to the rates that are certified to hold and to break.

    Those are geometric means over the trials that certified one; an end that none did is open. One trial has no
    interval, because nothing is known of other processes.
    """
    found = dict(metrics)
    for key in (key for key in metrics if split_key(key)[1] == CAPACITY):
        own = metrics[key]
        holds, breaks = (_certified(trials, key.replace(CAPACITY, name)) for name in (HOLDS, BREAKS))
        low = None if holds is None or own.low is None else min(holds, own.low)
        high = None if breaks is None or own.high is None else max(breaks, own.high)
        found[key] = msgspec.structs.replace(own, low=low or None, high=high, basis="within")
    return found


def _certified(trials: Sequence[TrialMetrics], key: str) -> float | None:
    values = [trial.values[key] for trial in trials if key in trial.values]
    return over_trials(values).value if values else None


def _array(key: str) -> tuple[str, str]:
    """Return the scenario of a percentile, and the array of its requests."""
    scenario, name = split_key(key)
    return scenario or "", DEVICE if name in DEVICE_PERCENTILES else LATENCY


def _of_requests(key: str, found: PooledQuantile, n: int, trials: int) -> Measure:
    low, high = (end if math.isfinite(end) else None for end in (found.low, found.high))
    return Measure(
        value=found.value,
        low=low,
        high=high,
        n=n,
        trials=trials,
        unit=lookup(key).unit,
        basis="pooled",
        effective_n=found.effective_n,
        independent_n=found.independent_n if found.independent_n < n else msgspec.UNSET,
    )


def _loads(trials: Sequence[TrialMetrics], found: PooledQuantile) -> dict[int, float]:
    return dict(zip((trial.block for trial in trials), found.loads.tolist(), strict=True))


def over_processes(key: str, values: Sequence[float], n: int | None = None) -> Measure:
    """Measure one value per process; on logarithms where the metric's scale is logarithmic."""
    return as_measure(key, over_trials(values, log=lookup(key).scale == "log", n=n))


def as_measure(key: str, estimate: TrialEstimate) -> Measure:
    """Return an estimate over trials as a measure; an infinite end is not known."""
    low, high = (end if math.isfinite(end) else None for end in (estimate.low, estimate.high))
    return Measure(**(estimate._asdict() | {"low": low, "high": high}), unit=lookup(key).unit)


def padded(by_block: Mapping[int, float]) -> tuple[float, ...]:
    """Return values by block, NaN where there is none."""
    return tuple(by_block.get(block, math.nan) for block in range(max(by_block) + 1))
