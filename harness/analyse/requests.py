"""The requests of a cell, all trials together: percentiles of a window, also of its undisturbed requests only."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.analyse.trials import TrialMetrics
from harness.evidence.folder import SLICE_COLUMNS, START
from harness.scenarios.base import NS_PER_MS
from harness.spec.arrays import Array, Booleans, Integers
from harness.spec.metrics import LEVELS
from harness.stats.disturbed import disturbed
from harness.stats.pooled import PooledQuantile, pooled_quantiles

_BEGIN, _END = 0, 1


def pooled(latencies: Sequence[Array], keys: Sequence[str], queued: bool = False) -> dict[str, PooledQuantile]:
    """Return percentiles (ms) of the requests of several trials together (ns), by plain key; `queued`: an open loop."""
    found = pooled_quantiles(latencies, [LEVELS[key] for key in keys], queued=queued)
    return {key: _scaled(found[LEVELS[key]]) for key in keys}


def disturbed_share(trials: Sequence[TrialMetrics]) -> float | None:
    """Return the fraction of the slices of these trials that were disturbed; None where there are none."""
    slices = np.concatenate([np.zeros((0, len(SLICE_COLUMNS)), dtype=np.int64), *(each.slices() for each in trials)])
    return float(disturbed(slices).mean()) if len(slices) else None


class Undisturbed(NamedTuple):
    """Percentiles (ms) of the requests outside disturbed slices; `share` of the slices that are disturbed."""

    percentiles: dict[str, PooledQuantile]
    share: float


def undisturbed(trials: Sequence[TrialMetrics], windows: Sequence[str], keys: Sequence[str]) -> Undisturbed:
    """Return percentiles of the requests of a window of each trial that began outside disturbed slices.

    There are none where no request did. The slices of all these trials are judged together, so that a trial in a slow
    hour is seen to be slow.
    """
    slices, queued = [trial.slices() for trial in trials], any(map(TrialMetrics.queued, trials, windows))
    bad = disturbed(np.concatenate(slices))
    if not bad.any():
        return Undisturbed(pooled([*map(TrialMetrics.requests, trials, windows)], keys, queued), 0.0)
    parts = np.split(bad, np.cumsum([len(each) for each in slices])[:-1])
    kept = [_kept(*each) for each in zip(trials, windows, slices, parts, strict=True)]
    return Undisturbed(pooled(kept, keys, queued) if any(each.size for each in kept) else {}, float(bad.mean()))


def _kept(trial: TrialMetrics, window: str, slices: Integers, bad: Booleans) -> Array:
    """Return the latencies of the requests that began in no disturbed slice."""
    latency = trial.requests(window)
    if not bad.any():
        return latency
    start = trial.requests(window, START)
    place = np.searchsorted(slices[:, _BEGIN], start, side="right") - 1
    inside = (place >= 0) & (start <= slices[place, _END])
    return np.asarray(latency[~(inside & bad[place])])


def _scaled(quantile: PooledQuantile) -> PooledQuantile:
    value, low, high = (each / NS_PER_MS for each in quantile[:3])
    return quantile._replace(value=value, low=low, high=high)
