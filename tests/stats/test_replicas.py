"""Replicas for a load: against queueing theory, and what holds for any service times."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats import replicas
from harness.stats.replicas import Ask, loads_of, predicted, sized


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(replicas, "SIMULATED", 40_000)
    monkeypatch.setattr(replicas, "FEWEST", 5_000)


def exponential(mean, seed=0, processes=3, count=4_000):
    rng = np.random.default_rng(seed)
    return [rng.exponential(mean, count) for _ in range(processes)]


def test_a_single_replica_with_exponential_times_is_predicted_as_theory_says():
    """M/M/1: latency is exponential with mean s / (1 - rho)."""
    loads = loads_of(exponential(1.0, count=40_000), seed=1)
    found = predicted(loads, 120_000, Ask(rate=0.5, p=0.9, limit=math.inf))
    assert found.value == pytest.approx(2.0 * math.log(10), rel=0.05)
    assert found.low < found.value < found.high


def test_a_load_that_cannot_be_kept_up_with_has_no_percentile():
    assert predicted(loads_of(exponential(1.0), 0), 12_000, Ask(rate=1.1, p=0.9, limit=1.0)) is None


def test_few_service_times_leave_the_upper_end_open():
    loads = loads_of([each[:50] for each in exponential(1.0)], 0)
    assert predicted(loads, 150, Ask(rate=0.3, p=0.999, limit=1.0)).high == math.inf


def test_queues_apart_need_as_many_as_one_queue_allows_for_each():
    """M/M/1, p90 at most 10 s: s ln(10) / (1 - rho) = 10 s at rho = 0.77; a load of 10 needs 12.99 of them."""
    found = sized(loads_of(exponential(1.0, count=40_000), 2), 120_000, Ask(rate=10.0, p=0.9, limit=10.0))
    assert found.replicas in (13, 14)
    assert found.latency.value <= 10.0
    assert found.utilisation == pytest.approx(10 / found.replicas, rel=0.02)


def test_one_queue_for_all_needs_fewer():
    loads = loads_of(exponential(1.0), 3)
    ask = Ask(rate=10.0, p=0.99, limit=6.0)
    apart, together = sized(loads, 12_000, ask), sized(loads, 12_000, ask._replace(dispatch="shared"))
    assert together.replicas < apart.replicas
    assert together.latency.value <= 6.0


def test_a_limit_that_service_alone_breaks_cannot_be_kept():
    for dispatch in ("random", "shared"):
        ask = Ask(rate=1.0, p=0.99, limit=0.9, dispatch=dispatch)
        assert sized(loads_of([np.ones(500)] * 2, 0), 1_000, ask) is None


def test_one_process_leaves_the_interval_open():
    found = sized(loads_of(exponential(1.0, processes=1), 0), 4_000, Ask(rate=3.0, p=0.9, limit=5.0))
    assert (found.low, found.high) == (None, None)


def test_processes_that_differ_widen_the_interval():
    alike = [np.full(500, 1.0)] * 4
    apart = [np.full(500, 1.0 * factor) for factor in (0.8, 0.9, 1.1, 1.2)]
    ask = Ask(rate=20.0, p=0.9, limit=4.0)
    first, second = (sized(loads_of(each, 0), 2_000, ask) for each in (alike, apart))
    assert first.high - first.low <= 2 < second.high - second.low


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.floats(0.5, 2.0), min_size=2, max_size=40),
    st.floats(0.1, 20.0),
    st.floats(2.5, 20.0),
    st.sampled_from(["random", "shared"]),
)
def test_one_fewer_does_not_keep_the_limit(service, rate, limit, dispatch):
    loads = loads_of([np.array(service)] * 2, 0)
    ask = Ask(rate, 0.95, limit, dispatch=dispatch)
    found = sized(loads, 10_000, ask)
    assert found.replicas >= 1 and found.latency.value <= limit and found.utilisation < 1
    if found.replicas > 1:
        fewer = found.replicas - 1
        one = ask._replace(rate=rate / fewer) if dispatch == "random" else ask._replace(servers=fewer)
        at = predicted(loads, 10_000, one)
        assert at is None or at.value > 0.9998 * limit
