"""What requests in a row are worth: repeated values, queues, and intervals of open loops that cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats import serial
from harness.stats.pooled import pooled_quantile
from harness.stats.queueing import completions
from harness.stats.serial import design_effect

P99 = {("equal", 0.8): 11.33, ("equal", 0.9): 22.64, ("lognormal", 0.8): 14.80, ("lognormal", 0.9): 29.80}
"""p99 in mean service times, of 24,000,000 simulated requests each."""


def queue(law: str, utilisation: float, requests: int, rng: np.random.Generator) -> np.ndarray:
    """Give the latencies of requests to one server that begins idle, in mean service times (lognormal: σ 0.5)."""
    service = np.ones(requests) if law == "equal" else rng.lognormal(-0.125, 0.5, requests)
    due = np.cumsum(rng.exponential(1.0 / utilisation, requests))
    return completions(due, service) - due


def effect(trials: list[np.ndarray], p: float) -> float:
    return design_effect(np.sort(np.concatenate(trials)), trials, p)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
def test_independent_requests_are_worth_themselves(p):
    rng = np.random.default_rng(1)
    assert 1.0 <= effect([rng.exponential(1.0, 5_000) for _ in range(4)], p) < 1.25


@pytest.mark.parametrize("p", [0.5, 0.99])
def test_values_that_come_twenty_times_in_a_row_are_worth_a_twentieth(p):
    rng = np.random.default_rng(2)
    assert effect([np.repeat(rng.random(2_000), 20) for _ in range(4)], p) == pytest.approx(20.0, rel=0.15)


def test_two_late_clusters_are_worth_two_requests():
    """One of 30 and one of 10, far apart: Σ size² / Σ size = 25, less what a tenth of all being late takes away."""
    late = np.zeros(4_000)
    late[1_000:1_030] = late[3_000:3_010] = 1.0
    found = serial._effect([late])
    assert found == pytest.approx(25.0, rel=0.02)


@pytest.mark.parametrize(("law", "low", "high"), [("equal", 38, 48), ("lognormal", 42, 56)])
def test_a_queue_at_eighty_percent_has_the_design_effect_of_its_busy_periods(law, low, high):
    rng = np.random.default_rng(3)
    assert low < effect([queue(law, 0.8, 400_000, rng)], 0.99) < high  # by busy periods, n = 3,000,000: 43 and 46


def test_a_tail_is_worth_no_more_than_what_is_above_p90():
    """No cluster above p99 has been seen but single requests: the body tells that requests come in tens."""
    rng = np.random.default_rng(4)
    values = np.repeat(rng.random(1_000), 10)
    values[np.argsort(values)[-200::10]] += 10.0
    assert effect([values], 0.99) > 8.0


def test_how_trials_differ_is_no_matter_of_order():
    rng = np.random.default_rng(5)
    assert effect([scale + rng.random(3_000) for scale in (0.0, 10.0, 20.0)], 0.5) < 1.2


def test_nothing_that_varies_has_no_design_effect():
    assert effect([np.ones(100), np.ones(50)], 0.9) == 1.0
    assert effect([np.array([1.0]), np.zeros(0), np.array([2.0, 3.0])], 0.5) >= 1.0


def test_long_trials_are_added_up_in_blocks(monkeypatch):
    trials = [queue("equal", 0.8, 16_000, np.random.default_rng(seed)) for seed in range(4)]
    whole = effect(trials, 0.9)
    monkeypatch.setattr(serial, "_POINTS", 2_000)
    assert effect(trials, 0.9) == pytest.approx(whole, rel=0.1)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=60), min_size=1, max_size=4), st.floats(0.05, 0.99))
def test_whatever_the_values_only_their_order_matters(lists, p):
    trials = [np.array(each, dtype=np.float64) for each in lists]
    found = effect(trials, p)
    assert 1.0 <= found <= 1.0 + max(map(len, lists))
    assert effect([np.exp(each) for each in trials], p) == pytest.approx(found)
    assert effect(trials[::-1], p) == pytest.approx(found)


@pytest.mark.parametrize(
    ("law", "utilisation", "trials", "requests", "bounded"),
    [
        ("equal", 0.8, 5, 7_651, (0.9, 1.0)),  # as long as windows are planned
        ("lognormal", 0.8, 3, 17_001, (0.5, 1.0)),
        ("lognormal", 0.9, 5, 4_251, (0.0, 0.1)),  # too few: open, and not wrong
        ("equal", 0.9, 5, 1_000, (0.0, 0.1)),
        ("equal", 0.9, 5, 20_000, (0.5, 1.0)),
    ],
)
def test_intervals_of_an_open_loop_cover_or_are_open(law, utilisation, trials, requests, bounded):
    rngs = [np.random.default_rng([seed, requests]) for seed in range(50)]
    found = [
        pooled_quantile([queue(law, utilisation, requests, rng) for _ in range(trials)], 0.99, queued=True)
        for rng in rngs
    ]
    truth = P99[law, utilisation]
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.93
    assert bounded[0] <= np.mean([math.isfinite(each.high) for each in found]) <= bounded[1]


def test_without_regard_to_order_a_busy_open_loop_is_covered_too_rarely():
    rngs = [np.random.default_rng([seed, 1_000]) for seed in range(100)]
    found = [pooled_quantile([queue("equal", 0.9, 1_000, rng) for _ in range(5)], 0.99) for rng in rngs]
    assert np.mean([each.low <= P99["equal", 0.9] <= each.high for each in found]) < 0.8


def test_a_closed_loop_is_measured_as_if_there_were_no_order():
    rng = np.random.default_rng(6)
    trials = [queue("equal", 0.8, 2_000, rng) for _ in range(4)]
    one, other = pooled_quantile(trials, 0.9), pooled_quantile([rng.permutation(each) for each in trials], 0.9)
    assert one[:4] == other[:4] and one.independent_n == 8_000
    queued = pooled_quantile(trials, 0.9, queued=True)
    assert queued.value == one.value and queued.effective_n <= queued.independent_n < 8_000 / 15


def test_processes_that_differ_bound_a_median_as_in_a_closed_loop():
    """Idle most of the time, so that requests are independent; the processes are five clusters."""
    rng = np.random.default_rng(7)
    trials = [np.exp(0.05 * rng.standard_normal() + 0.01 * rng.standard_normal(2_000)) for _ in range(5)]
    one, queued = pooled_quantile(trials, 0.5), pooled_quantile(trials, 0.5, queued=True)
    assert (queued.low, queued.high) == (one.low, one.high) and math.isfinite(one.high)
