"""Latency limits of a policy as service level objectives: how many requests were slower than the threshold.

A limit "p99 at most 20 ms" leaves an error budget: 1 % of requests may be slower. The burn rate of a run is the share
of its requests that were slower, divided by that budget; 1 keeps the limit exactly.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from harness.analyse.trials import bounds
from harness.errors import EvidenceError
from harness.export.base import Source
from harness.score.records import Row
from harness.spec.metrics import PERCENTILES, split_key

_NS_PER_MS = 1e6


class Objective(NamedTuple):
    """A latency limit of one row: its key and scenario, threshold (ms), budget, requests measured, and slower ones."""

    row: Row
    key: str
    scenario: str
    threshold_ms: float
    budget: float
    requests: int
    slow: int

    @property
    def burn_rate(self) -> float:
        """Share of slow requests ÷ budget."""
        return self.slow / self.requests / self.budget


def objectives(source: Source) -> Iterator[Objective]:
    """Yield the objectives of all rows that were measured; evidence that is damaged is left out."""
    limits, first = bounds(source.ranked.policy), source.ranked.record.suite.scenario[0].name
    for row in source.ranked.ranking.rows:
        for key, threshold_ms in limits.items():
            scenario, name = split_key(key)
            scenario = scenario or first
            requests, slow = _counts(source, f"{row.candidate}@{row.target}", scenario, threshold_ms)
            if requests:
                yield Objective(row, name, scenario, threshold_ms, 1.0 - PERCENTILES[name], requests, slow)


def _counts(source: Source, cell: str, scenario: str, threshold_ms: float) -> tuple[int, int]:
    """Count a cell's requests, and those slower than the threshold."""
    requests = slow = 0
    for trial in source.reader.trials(cell):
        try:
            latencies = trial.latencies(scenario) if trial.outcome.status == "ok" else None
        except EvidenceError:
            continue
        if latencies is not None:
            requests += len(latencies)
            slow += int(np.count_nonzero(np.asarray(latencies) > threshold_ms * _NS_PER_MS))
    return requests, slow
