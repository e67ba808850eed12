"""The search for the highest rate: its rule in literal numbers, its errors and what it finds on simulated queues."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.stats.queueing import Load, highest_rate, poisson_load
from harness.stats.rates import (
    ALPHA,
    LOOKS,
    TOLERANCE,
    Bracket,
    Tried,
    binomial_at_most,
    bracket,
    design_effect,
    first_look,
    judged,
    look_sizes,
    measured_effect,
    middle,
    next_rate,
)


def test_the_first_try_is_a_little_below_what_is_expected_and_the_second_as_much_above():
    assert next_rate([], 100.0) == 90.0
    assert next_rate([Tried(90, "holds")], 100.0) == pytest.approx(112.5)
    assert next_rate([Tried(90, "holds"), Tried(111, "broken")], 100.0) == pytest.approx(math.sqrt(90 * 111))


def test_steps_grow_until_there_is_an_end():
    tried, rates = [], []
    for _ in range(4):
        rates.append(next_rate(tried, 100.0))
        tried.append(Tried(rates[-1], "broken"))
    assert rates == pytest.approx([90, 72, 46.08, 18.87], abs=0.01)
    tried, rates = [], []
    for _ in range(3):
        rates.append(next_rate(tried, 100.0))
        tried.append(Tried(rates[-1], "holds"))
    assert rates[1:] == pytest.approx([112.5, 175.78], abs=0.01)


def test_undecided_rates_are_near_and_the_wider_side_is_bisected():
    tried = [Tried(80, "holds"), Tried(120, "broken"), Tried(100, "undecided")]
    assert next_rate(tried, 100.0) == pytest.approx(math.sqrt(80 * 100))
    tried += [Tried(90, "holds"), Tried(110, "broken"), Tried(96, "holds"), Tried(104, "broken")]
    assert next_rate(tried, 100.0) is None
    assert bracket(tried) == Bracket(96, 104)


def test_a_rate_above_a_broken_one_is_not_believed_to_hold():
    assert bracket([Tried(90, "broken"), Tried(100, "holds"), Tried(80, "holds")]) == Bracket(80, 90)
    assert bracket([]) == Bracket(0.0, math.inf)


@pytest.mark.parametrize(
    ("found", "expected", "value"),
    [
        (Bracket(90, 100), 500, math.sqrt(9000)),
        (Bracket(90, math.inf), 100, 100),
        (Bracket(90, math.inf), 50, 90),
        (Bracket(0, 100), 120, 100),
        (Bracket(0, math.inf), 70, 70),
    ],
)
def test_the_estimate(found, expected, value):
    assert middle(found, expected) == pytest.approx(value)


@given(st.integers(0, 60), st.integers(1, 4000), st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_the_binomial_is_scipys(k, n, p):
    assert binomial_at_most(k, n, 1 - p) == pytest.approx(stats.binom.cdf(k, n, 1 - p), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
def test_the_first_look_is_the_least_that_can_certify_one_late_cluster(p):
    n = first_look(p, 1.0)
    assert stats.binom.cdf(1, n, 1 - p) <= ALPHA / LOOKS < stats.binom.cdf(1, n - 1, 1 - p)
    assert look_sizes(p, 4.0) == tuple(math.ceil(4 * n * 1.5**k) for k in range(4))


def late(n, *places):
    found = np.zeros(n, dtype=bool)
    found[list(places)] = True
    return found


def test_a_window_without_late_requests_holds_and_one_with_too_many_is_broken():
    n = first_look(0.99, 1.0)
    assert judged(late(n), 0.99, 1.0) == "holds"
    assert judged(late(n), 0.99, 3.0) == "undecided"
    assert judged(late(n, *range(0, n, 10)), 0.99, 1.0) == "broken"
    assert judged(late(n, *range(0, n, 10)), 0.99, 200.0) == "undecided"


def test_one_stall_of_the_host_breaks_no_rate():
    n = 2_000
    assert judged(late(n, *range(700, 900)), 0.99, 1.0) == "undecided"
    assert judged(late(n, *range(600, 700), *range(1000, 1100), *range(1500, 1600)), 0.99, 1.0) == "broken"


def test_late_requests_that_come_together_are_worth_less():
    rng = np.random.default_rng(0)
    apart = rng.random(40_000) < 0.01
    together = np.repeat(rng.random(4_000) < 0.01, 10)
    assert measured_effect(apart, 1_000) == pytest.approx(1.0, abs=0.7)
    assert measured_effect(together, 1_000) == pytest.approx(10.0, rel=0.5)
    assert measured_effect(late(100)) == measured_effect(~late(100)) == measured_effect(late(0)) == 1.0


def queue(seed, sigma=0.2):
    """Return the load of a queue, its exact capacity for p99 at most 5 times the service time, and its effect."""
    rng = np.random.default_rng(seed)
    service = np.exp(sigma * rng.standard_normal(5_000))
    loads = [poisson_load(service, 400_000, rng)]
    rate = highest_rate(loads, 0.99, 5.0)
    return service, rate, design_effect(loads, rate, 5.0)


def verdict(service, rate, effect, rng):
    """Try a rate as the child does: window after window, until a look decides."""
    latencies = np.zeros(0)
    for size in look_sizes(0.99, effect):
        count = size - latencies.size
        load = Load(np.cumsum(rng.exponential(1.0, count)), rng.choice(service, count))
        latencies = np.concatenate([latencies, load.latencies(1.0 / rate)])
        found = judged(latencies > 5.0, 0.99, effect)
        if found != "undecided":
            break
    return found


def test_a_queue_at_its_capacity_is_certified_wrongly_in_few_of_300_tries():
    """Both directions together: 2 % by the rule; what batches do not see of the clusters is left 2 % more."""
    service, rate, effect = queue(1)
    assert effect > 3.0
    rng = np.random.default_rng(2)
    found = [verdict(service, rate, effect, rng) for _ in range(300)]
    assert found.count("holds") <= 12 and found.count("broken") <= 12
    naive = [verdict(service, rate, 1.0, rng) for _ in range(300)]
    assert naive.count("broken") + naive.count("holds") > 40  # as if requests were independent: the test can fail


def test_the_bracket_holds_the_capacity():
    service, rate, effect = queue(3)
    rng, missed, widths = np.random.default_rng(4), 0, []
    for start in (0.6, 0.8, 1.0, 1.2, 2.0) * 6:  # however wrong what is expected
        tried = list[Tried]()
        while len(tried) < 12 and (next_ := next_rate(tried, start * rate)) is not None:
            tried.append(Tried(next_, verdict(service, next_, effect, rng)))
        low, high = bracket(tried)
        missed += not low <= rate <= high
        widths.append(high / low if low else math.inf)
    assert missed <= 3
    assert np.median(widths) < 1.3


@settings(max_examples=60)
@given(st.floats(1.0, 1e6), st.floats(0.01, 100.0), st.floats(0.0, 0.3))
def test_a_search_without_noise_ends_with_the_capacity_in_a_narrow_bracket(capacity, wrong, grey):
    """Rates within `grey` of the capacity stay undecided, however long they are tried."""
    tried = list[Tried]()
    while (rate := next_rate(tried, capacity * wrong)) is not None:
        tried.append(
            Tried(
                rate, "undecided" if abs(math.log(rate / capacity)) < grey else "holds" if rate < capacity else "broken"
            )
        )
        assert len(tried) < 40
    low, high = bracket(tried)
    assert low <= capacity <= high
    assert high / low <= (1 + TOLERANCE) ** 2 * math.exp(2 * grey) * 1.0001
