"""Arrivals for the fleet: rates, burstiness, and recorded ones again and again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.traffic import bursty, poisson, repeated


def dispersion(arrivals, window_s):
    """Return variance ÷ mean of the counts in windows: 1 for Poisson arrivals."""
    counts = np.bincount((arrivals / window_s).astype(int))
    return counts.var() / counts.mean()


def test_poisson_has_the_rate_and_no_bursts():
    arrivals = poisson(50_000, 20.0, np.random.default_rng(1))
    assert arrivals.size / arrivals[-1] == pytest.approx(20.0, rel=0.02)
    assert dispersion(arrivals, 5.0) == pytest.approx(1.0, abs=0.1)


def test_bursts_keep_the_mean_rate_and_come_together():
    """Calm 2/s for 30 s, 50/s for 5 s on average: (60 + 250) / 35 per second in all."""
    arrivals = bursty(200_000, 2.0, 50.0, 30.0, 5.0, np.random.default_rng(2))
    assert arrivals.size / arrivals[-1] == pytest.approx(310 / 35, rel=0.05)
    assert dispersion(arrivals, 5.0) > 20


@settings(deadline=None)
@given(
    st.integers(1, 500), st.floats(0.01, 5), st.floats(0.01, 50), st.floats(0.1, 50), st.floats(0.1, 50), st.integers(0)
)
def test_so_many_as_are_asked_for_in_order(n, calm, burst, calm_s, burst_s, seed):
    arrivals = bursty(n, calm, burst, calm_s, burst_s, np.random.default_rng(seed))
    assert arrivals.size == n and np.all(np.diff(arrivals) >= 0) and arrivals[0] >= 0
    assert np.array_equal(arrivals, bursty(n, calm, burst, calm_s, burst_s, np.random.default_rng(seed)))


def test_a_trace_is_repeated_at_its_own_rate():
    assert repeated(5, np.array([7.0, 8.0, 11.0])).tolist() == [0, 1, 4, 6, 7]


@pytest.mark.parametrize("recorded", [[], [1.0], [2.0, 1.0], [3.0, 3.0], [0.0, np.nan]])
def test_what_is_no_trace_is_refused(recorded):
    with pytest.raises(ValueError, match="two arrivals"):
        repeated(3, np.array(recorded))
