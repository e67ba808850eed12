"""Energy from a counter: its period, windows that are long enough, ends, and the integral of power beside it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.energy import LEAST_UPDATES, Energy, energy_between, integral_j, update_period_s


def counter(t_s, period_s, watts):
    """What a counter shows that is updated every `period_s` under a constant load (mJ)."""
    return np.floor(np.asarray(t_s) / period_s + 1e-9) * period_s * watts * 1e3


def test_the_period_in_literal_numbers():
    t = np.arange(0, 10, 0.02)
    assert update_period_s(t, counter(t, 0.1, 300)) == pytest.approx(0.1, rel=0.01)
    assert update_period_s(t, counter(t, 0.005, 300)) == pytest.approx(0.02), "no finer than the samples"
    assert update_period_s(t, np.full(t.size, 5.0)) is None
    assert update_period_s(t[:4], counter(t[:4], 0.02, 300)) == pytest.approx(0.02)
    assert update_period_s(t[:3], counter(t[:3], 0.02, 300)) is None, "two updates are one period"


def test_energy_in_literal_numbers():
    """300 W for 6 s, of which the updates at 1.0 to 7.0 are seen."""
    t = np.arange(0, 160) * 0.05
    found = energy_between(t, counter(t, 0.1, 300), np.full(t.size, 290.0), 0.95, 7.02)
    assert (found.begin_s, found.end_s) == pytest.approx((1.0, 7.0))
    assert found.joules == pytest.approx(1800.0)
    assert found.relative == pytest.approx(0.1 / 6, rel=0.01)
    assert found.integrated_j == pytest.approx(290 * 6)
    assert found.agrees


def test_a_counter_that_is_read_in_every_second_sample_gives_the_same_energy_and_all_power_counts():
    t = np.arange(0, 160) * 0.05
    watts = np.where(np.arange(160) % 2, 200.0, 400.0)
    mj = counter(t, 0.1, 300)
    mj[1::2] = np.nan
    found = energy_between(t, mj, watts, 0.95, 7.02)
    assert found.joules == pytest.approx(1800.0) and (found.begin_s, found.end_s) == pytest.approx((1.0, 7.0))
    assert found.integrated_j == pytest.approx(1800, rel=0.01)


@pytest.mark.parametrize(("watts", "agrees"), [(335.0, False), (325.0, True), (275.0, True), (265.0, False)])
def test_counter_and_power_agree_within_a_tenth(watts, agrees):
    t = np.arange(0, 160) * 0.05
    assert energy_between(t, counter(t, 0.1, 300), np.full(t.size, watts), 0.0, 8.0).agrees is agrees


def test_power_that_is_not_known_is_not_integrated():
    t = np.arange(0, 160) * 0.05
    found = energy_between(t, counter(t, 0.1, 300), np.full(t.size, np.nan), 0.0, 8.0)
    assert found.integrated_j is None and found.agrees is None
    assert integral_j(np.array([0.0, 1.0, 2.0]), np.array([1.0, np.nan, 3.0])) == 4.0


@given(
    st.floats(0.02, 0.2),
    st.floats(0.01, 0.1),
    st.floats(20.0, 700.0),
    st.floats(0.0, 3.0),
    st.floats(0.0, 30.0),
)
def test_the_energy_is_within_what_is_said_of_it_or_it_is_not_known(period_s, every_s, watts, begin_s, seconds):
    """The true energy is watts × time; a window shorter than 50 updates says nothing, one longer than 60 something."""
    t = np.arange(0, begin_s + seconds + 2, every_s)
    found = energy_between(t, counter(t, period_s, watts), np.full(t.size, watts), begin_s, begin_s + seconds)
    seen_s = update_period_s(t, counter(t, period_s, watts))
    if found is None:
        assert seen_s is None or seconds < (LEAST_UPDATES + 2) * max(seen_s, period_s)
        return
    assert begin_s <= found.begin_s < found.end_s <= begin_s + seconds
    span_s = found.end_s - found.begin_s
    assert span_s >= (LEAST_UPDATES - 1) * seen_s * (1 - 1e-9)
    longest = max(period_s, every_s) / span_s
    assert found.joules == pytest.approx(watts * span_s, rel=longest + 1e-6)
    assert found.relative <= 1.0 / (LEAST_UPDATES - 1) + 1e-9


@given(st.lists(st.tuples(st.floats(0, 1e3), st.floats(0, 1e9) | st.just(math.nan), st.floats(0, 1e3)), max_size=80))
def test_any_samples_give_a_number_or_nothing(samples):
    rows = sorted(samples)
    t, mj, watts = (np.array([row[i] for row in rows], dtype=float) for i in range(3))
    found = energy_between(t, mj, watts, 0.0, 1e3)
    assert found is None or (isinstance(found, Energy) and math.isfinite(found.joules))
