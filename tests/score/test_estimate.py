"""What is known of a metric, and what of its uncertainty."""

from __future__ import annotations

import pytest

from harness.score.estimate import estimate
from harness.score.records import Entry, Measure

KEY = "users.latency_p99_ms"


@pytest.mark.parametrize(("effective_n", "thin"), [(120.0, True), (4000.0, False)])
def test_what_was_measured_bounds_a_simulated_percentile_and_not_what_was_simulated(effective_n, thin):
    open_ended = {"value": 2.3, "low": 0.9, "high": None, "n": 10_000, "trials": 30, "unit": "ms", "basis": "simulated"}
    entry = Entry(
        candidate="a", target="t", status="measured", metrics={KEY: Measure(**open_ended, effective_n=effective_n)}
    )
    assert estimate(entry, KEY).thin is thin
