"""Arrivals: rates, gaps, order, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.arrivals import constant, poisson, trace

RATES = st.floats(0.5, 20_000.0)
SECONDS = st.floats(0.001, 5.0)


@settings(deadline=None)
@given(RATES, SECONDS, st.integers(0, 2**32 - 1))
def test_arrivals_are_sorted_offsets_inside_the_window(rate, seconds, seed):
    for found in (poisson(rate, seconds, np.random.default_rng(seed)), constant(rate, seconds)):
        assert found.dtype == np.int64 and found.ndim == 1
        assert (np.diff(found) >= 0).all()
        assert not found.size or (found[0] >= 0 and found[-1] <= round(seconds * 1e9))


@given(RATES, SECONDS)
def test_a_constant_rate_is_that_rate_to_one_request(rate, seconds):
    found = constant(rate, seconds)
    assert abs(len(found) - rate * seconds) < 1 + 1e-6 and found[0] == 0
    assert len(found) < 2 or np.abs(np.diff(found) - 1e9 / rate).max() <= 1.5


def test_poisson_gaps_are_exponential_and_independent():
    found = poisson(1000.0, 200.0, np.random.default_rng(7))
    gaps = np.diff(found) / 1e6
    assert len(found) == pytest.approx(200_000, abs=5 * 200_000**0.5)
    assert gaps.mean() == pytest.approx(1.0, rel=0.02) and gaps.std() == pytest.approx(1.0, rel=0.02)
    assert np.quantile(gaps, 0.99) == pytest.approx(np.log(100), rel=0.03)
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 0.01


def test_counts_in_equal_parts_vary_as_poisson_counts_do():
    found = poisson(500.0, 400.0, np.random.default_rng(1))
    counts = np.bincount(found // 1_000_000_000, minlength=400)
    assert counts.var() / counts.mean() == pytest.approx(1.0, abs=0.25)


def test_the_seed_decides():
    draws = [poisson(100.0, 3.0, np.random.default_rng(seed)).tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_a_trace_begins_at_0_and_keeps_its_gaps():
    assert trace([5_000, 5_000, 7_500]).tolist() == [0, 0, 2_500]
    assert trace(np.array([-3, 4])).tolist() == [0, 7]


@pytest.mark.parametrize(
    ("timestamps", "what"),
    [([], "no timestamps"), ([3, 5, 4, 1], "number 3 is before number 2"), ([[1, 2]], "no time")],
)
def test_a_trace_that_is_none_is_refused(timestamps, what):
    with pytest.raises(ValueError, match=what):
        trace(timestamps)


@pytest.mark.parametrize(("rate", "seconds"), [(0, 1), (-1, 1), (1, 0), (1, -2), (float("inf"), 1), (float("nan"), 1)])
def test_a_rate_or_duration_that_is_none_is_refused(rate, seconds):
    for draw in (lambda: poisson(rate, seconds, np.random.default_rng(0)), lambda: constant(rate, seconds)):
        with pytest.raises(ValueError, match="must be above 0"):
            draw()
