"""Queues against a plain event loop, against formulas, and what holds for any service times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.queueing import (
    Load,
    completions,
    completions_after_idle,
    highest_rate,
    mean_wait_md1,
    poisson_load,
    quantile_of,
    resampled,
    stalled_quantile,
    unqueued,
    utilisation,
)


def event_loop(due, service, servers):
    """Serve one event after another: an arrival joins the line, a server that becomes free takes the first in it."""
    events = [(time, 1, number) for number, time in enumerate(due)]
    line, idle, done = [], servers, {}
    while events:
        events.sort()
        now, kind, number = events.pop(0)
        if kind == 0:
            idle += 1
            done[number] = now
        else:
            line.append(number)
        while line and idle:
            idle -= 1
            first = line.pop(0)
            events.append((now + service[first], 0, first))
    return [done[number] for number in range(len(due))]


TIMES = st.integers(0, 1_000_000_000)


@st.composite
def queues(draw):
    gaps = draw(st.lists(st.integers(0, 100), min_size=1, max_size=30))
    service = draw(st.lists(st.integers(1, 200), min_size=len(gaps), max_size=len(gaps)))
    return np.cumsum(np.array(gaps, dtype=np.int64)) + draw(TIMES), np.array(service, dtype=np.int64)


@given(queues(), st.integers(1, 4))
def test_completions_are_those_of_an_event_loop(queue, servers):
    due, service = queue
    found = completions(due, service, servers)
    assert found.dtype == np.int64
    assert found.tolist() == event_loop(due.tolist(), service.tolist(), servers)


@given(queues())
def test_one_server_is_the_heap_with_one_server(queue):
    """The vectorised recursion and the heap are two ways to the same numbers: the second server never gets a turn."""
    due, service = queue
    forever = np.int64(1 << 60)
    both = completions(np.r_[due[0], due], np.r_[forever, service], 2)[1:]
    assert completions(due, service).tolist() == both.tolist()


@given(queues(), st.integers(1, 3))
def test_more_servers_and_fewer_requests_never_make_anything_later(queue, servers):
    due, service = queue
    one, more = completions(due, service, servers), completions(due, service, servers + 1)
    assert np.all(more <= one) and np.all(one >= due + service)
    assert np.all(completions(due, np.r_[1, service[1:]], servers) <= one)


def test_many_queues_at_once_are_each_their_own():
    rng = np.random.default_rng(1)
    due, service = np.cumsum(rng.integers(0, 9, (5, 40)), axis=1), rng.integers(1, 9, (5, 40))
    together = completions(due, service)
    assert together.tolist() == [completions(*each).tolist() for each in zip(due, service, strict=True)]


def test_no_requests_and_no_servers():
    none = np.zeros(0, dtype=np.int64)
    assert completions(none, none).size == completions(none, none, 2).size == 0
    with pytest.raises(ValueError, match="not 0"):
        completions(none, none, 0)


@pytest.mark.parametrize("rho", [0.3, 0.7, 0.9])
def test_equal_service_times_wait_as_pollaczek_and_khinchine_say(rho):
    load = poisson_load(np.array([1_000]), 2_000_000, np.random.default_rng(2))
    waits = load.latencies(1_000 / rho) - 1_000
    assert waits.mean() == pytest.approx(mean_wait_md1(rho, 1_000), rel=0.02)


def test_two_servers_wait_as_erlang_says():
    """M/M/2 at rho = 0.7: P(wait) = 0.5765, mean wait = P(wait) / (2 mu - lambda)."""
    rng = np.random.default_rng(3)
    load = Load(np.cumsum(rng.exponential(1.0, 400_000)), rng.exponential(1.0, 400_000))
    waits = load.latencies(1 / 1.4, servers=2) - load.service
    assert (waits > 1e-9).mean() == pytest.approx(0.5765, abs=0.01)
    assert waits.mean() == pytest.approx(0.5765 / 0.6, rel=0.03)


def test_a_stall_delays_as_its_formula_says():
    rate, seconds, stall_s, service_s = 1_000, 10.0, 0.2, 0.0003
    due = np.arange(int(rate * seconds)) / rate
    service = np.full(due.size, service_s)
    service[4_000] += stall_s
    latency = np.sort(completions(due, service) - due)
    for p in (0.99, 0.999):
        wanted = stalled_quantile(p, stall_s, seconds, rate * service_s)
        assert latency[int(p * latency.size)] == pytest.approx(wanted, rel=0.02)
    with pytest.raises(ValueError, match="does not reach"):
        stalled_quantile(0.5, stall_s, seconds, 0.3)


@pytest.mark.parametrize("rho", [0.0, 1.0, 1.2])
def test_a_queue_without_a_steady_state_has_no_mean_wait(rho):
    with pytest.raises(ValueError, match="utilisation"):
        mean_wait_md1(rho, 1.0)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=300), st.integers(1, 500), st.integers(0, 99))
def test_resampling_keeps_neighbours_together(service, count, seed):
    """Of two numbers in a stretch the second follows the first in the process, round its end."""
    numbers = np.arange(len(service))
    found = resampled(numbers, count, np.random.default_rng(seed))
    assert found.size == count
    follows = np.diff(found) % len(service) == 1 % len(service)
    assert np.count_nonzero(~follows) <= max(count // min(64, len(service)), count * 16 // len(service) + 1)


def test_slow_spells_make_a_longer_tail_than_the_same_times_shuffled():
    """Ten slow requests in a row queue up; spread out they do not. Stretches keep them together."""
    rng = np.random.default_rng(4)
    spells = np.where(np.arange(4_000) % 400 < 40, 3.0, 1.0)
    together, apart = (
        quantile_of(poisson_load(each, 200_000, rng).latencies(2.0), 0.99) for each in (spells, rng.permutation(spells))
    )
    assert together > 1.5 * apart


def test_resampling_needs_service_times():
    with pytest.raises(ValueError, match="no service times"):
        resampled(np.zeros(0), 5, np.random.default_rng(0))


def test_utilisation_is_shared_by_servers():
    assert utilisation(0.5, np.array([1.0, 2.0]), 2) == pytest.approx(0.375)


@given(st.lists(st.floats(1.0, 5.0), min_size=1, max_size=50), st.floats(1.01, 40.0), st.integers(0, 9))
def test_the_highest_rate_keeps_the_limit_and_a_higher_one_does_not(service, factor, seed):
    loads = [poisson_load(np.array(service), 2_000, np.random.default_rng([seed, k])) for k in range(2)]
    limit = factor * max(service)

    def p90(rate):
        return quantile_of(np.concatenate([load.latencies(1 / rate) for load in loads]), 0.9)

    rate = highest_rate(loads, 0.9, limit)
    assert rate > 0 and p90(rate) <= limit
    full = 0.999 / np.mean([load.service.mean() for load in loads])
    assert rate == pytest.approx(full) or p90(rate * 1.0002) > limit


def test_a_limit_below_the_service_times_leaves_no_rate():
    load = poisson_load(np.array([1.0, 3.0]), 1_000, np.random.default_rng(0))
    assert highest_rate([load], 0.99, 2.9) == 0.0
    assert 0 < highest_rate([load], 0.99, 3.1) < 0.5


def test_two_servers_take_more_than_twice_what_one_takes():
    load = poisson_load(np.array([1.0]), 20_000, np.random.default_rng(5))
    assert highest_rate([load], 0.99, 4.0, servers=2) > 2 * highest_rate([load], 0.99, 4.0)


@given(queues(), st.integers(1, 3))
def test_idle_servers_that_are_no_slower_change_nothing(queue, servers):
    due, service = queue
    same = completions_after_idle(due, service, service, servers)
    assert same.tolist() == completions(due, service, servers).tolist()


def test_a_request_that_finds_a_server_idle_takes_longer():
    """Due at 0, 1, 10, 30: the second waits for the first; the third and fourth find an idle server."""
    due, busy, idle = np.array([0, 1, 10, 30]), np.array([2, 2, 2, 2]), np.array([5, 5, 5, 5])
    assert completions_after_idle(due, busy, idle).tolist() == [5, 7, 15, 35]
    assert completions_after_idle(due, busy, idle, 2).tolist() == [5, 6, 15, 35]
    load = Load(due / 1.0, busy / 1.0, idle / 1.0)
    assert load.latencies(1.0).tolist() == [5, 6, 5, 5]
    assert load.latencies(100.0).tolist() == [5, 5, 5, 5]
    assert unqueued(load).tolist() == [5, 5, 5, 5]
