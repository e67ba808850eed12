"""Is a latency limit certified by the samples themselves? MLPerf's early-stopping rule on real trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.analyse.trials import TrialFacts
from harness.spec.metrics import PERCENTILES, split_key
from harness.spec.policy import Policy
from harness.stats.certify import Verdict, certify_in_order, planned_looks
from harness.trial.folder import read_array

_NS_PER_MS = 1e6


def certificate(trials: Sequence[TrialFacts], key: str, bound_ms: float, first_scenario: str) -> Verdict:
    """Judge "the percentile `key` is at most `bound_ms`" on the samples of `trials` in the order measured.

    At most the samples of the last planned look are read. Samples of one process are not independent, so
    this certifies what was seen; what other processes would show is in the interval over trials.
    """
    scenario, name = split_key(key)
    p = PERCENTILES[name]
    wanted = planned_looks(p=p)[-1]
    parts: list[NDArray[np.int64]] = []
    for trial in trials:
        if wanted <= 0:
            break
        samples = read_array(trial.folder / "samples" / f"{scenario or first_scenario}.npy")[:wanted]
        parts.append(np.array(samples))
        wanted -= len(samples)
    return certify_in_order(np.concatenate(parts), bound_ms * _NS_PER_MS, p) if parts else "undecided"


def bounds(policy: Policy) -> dict[str, float]:
    """Return the upper bounds (ms) that the policy sets on latency percentiles."""
    return {
        key: limit.max
        for key, limit in policy.limits.items()
        if split_key(key)[1] in PERCENTILES and limit.max is not None
    }
