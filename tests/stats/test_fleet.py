"""The simulated fleet against closed forms, literal schedules, and what holds for any traffic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.fleet import Rules, serve
from harness.stats.traffic import poisson


def served(arrivals, warm, cold, **rules):
    n = len(arrivals)
    given = {"keep_alive_s": 10.0} | rules
    return serve(np.array(arrivals, float), np.full(n, float(warm)), np.full(n, float(cold)), Rules(**given))


@settings(max_examples=15, deadline=None)
@given(st.floats(0.01, 6.0), st.floats(0.1, 1000.0), st.integers(0, 2**31))
def test_one_instance_goes_cold_after_gaps_longer_than_the_keep_alive(product, keep_alive_s, seed):
    """Poisson λ, keep-alive τ, requests far shorter than gaps: cold with chance e^(-λτ)."""
    rate = product / keep_alive_s
    arrivals = poisson(25_000, rate, np.random.default_rng(seed))
    short = np.full(arrivals.size, 1e-6 / rate)
    found = serve(arrivals, short, short, Rules(keep_alive_s))
    assert found.cold_rate == pytest.approx(math.exp(-product), abs=0.02)
    assert found.instance.max() + 1 == found.cold.sum()


def test_a_request_finds_a_warm_instance_until_the_keep_alive_has_passed():
    found = served([0, 5, 16, 27.5], warm=1, cold=2)  # idle from 2, 6, 17: the last gap is 10.5 s
    assert found.cold.tolist() == [True, False, False, True]
    assert found.latency_s.tolist() == [2, 1, 1, 2]
    assert found.alive_s == (17 + 10) + (29.5 + 10 - 27.5)


def test_at_the_same_time_each_request_needs_an_instance_of_its_own():
    found = served([0, 0.5, 1.0, 3.0, 3.1], warm=1, cold=2)
    assert found.cold.tolist() == [True, True, True, False, False]  # at 3 all but the first are free or being freed
    assert found.instance.tolist() == [0, 1, 2, 2, 1]  # the one used last is taken


def test_provisioned_instances_are_taken_first_and_never_go_cold():
    found = served([0, 0.5, 0.6, 100], warm=1, cold=2, provisioned=2)
    assert found.cold.tolist() == [False, False, True, False]
    assert found.instance.tolist() == [1, 0, 2, 0]
    assert found.alive_s == 2 + 10  # of the instance on demand only


def test_requests_of_one_instance_wait_for_each_other():
    found = served([0, 1, 1.5, 2], warm=1, cold=4, concurrency=3)
    assert found.cold.tolist() == [True, False, False, True]  # three fit in; the fourth finds no room
    assert found.latency_s.tolist() == [4, 4, 4.5, 4]
    assert found.stretch.tolist() == [0, 0, 0, 1]


def test_a_busy_instance_has_room_again_when_a_request_is_done():
    found = served([0, 0.1, 1.5], warm=1, cold=1, concurrency=2)
    assert found.cold.tolist() == [True, False, False]
    assert found.latency_s == pytest.approx([1, 1.9, 1.5])


def test_erlang_b_is_what_spills_over_from_kept_instances():
    """Two kept instances, offered 1 Erlang, none kept alive: B(2, 1) = 0.2 of the requests start one."""
    rng = np.random.default_rng(3)
    arrivals = poisson(60_000, 1.0, rng)
    times = rng.exponential(1.0, arrivals.size)
    found = serve(arrivals, times, times, Rules(0.0, provisioned=2))
    assert found.cold_rate == pytest.approx(0.2, abs=0.01)


SAMPLES = st.lists(st.floats(1e-3, 5.0), min_size=1, max_size=40)


@settings(deadline=None)
@given(SAMPLES, st.floats(0, 20), st.integers(1, 4), st.integers(0, 3), st.integers(0, 2**31))
def test_whatever_the_traffic(gaps, keep_alive_s, concurrency, provisioned, seed):
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(gaps)
    warm, cold = rng.exponential(0.5, arrivals.size), rng.exponential(2.0, arrivals.size)
    found = serve(arrivals, warm, cold, Rules(keep_alive_s, concurrency, provisioned))
    own = np.where(found.cold, cold[np.cumsum(found.cold) - 1], warm)  # cold times are used one after the other
    assert np.all(found.latency_s >= own - 1e-9)
    if concurrency == 1:
        assert found.latency_s == pytest.approx(own)
    assert found.cold.sum() == (np.unique(found.instance) >= provisioned).sum()
    done = arrivals + found.latency_s
    for number in range(arrivals.size):
        alike = found.instance == found.instance[number]
        there = alike & (arrivals <= arrivals[number]) & (done > arrivals[number])
        assert there.sum() <= concurrency
        starts = np.sort((done - own)[alike])
        assert np.all(np.diff(starts) >= -1e-9)  # one after the other
    kept = found.instance < provisioned
    assert found.alive_s >= own[~kept].sum() - 1e-9
    once, longer = (serve(arrivals, warm, warm, Rules(keep_alive_s + more, 1, provisioned)) for more in (0.0, 1.0))
    assert longer.cold.sum() <= once.cold.sum()


def test_one_time_for_each_request_is_needed():
    with pytest.raises(ValueError, match="one time each"):
        serve(np.array([0.0, 1.0]), np.array([1.0]), np.array([1.0, 1.0]), Rules(1.0))
    with pytest.raises(ValueError, match="one time each"):
        serve(np.zeros(0), np.zeros(0), np.zeros(0), Rules(1.0))
