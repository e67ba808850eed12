from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.score.weights import slope, utility
from harness.spec.policy import Objective

LOG = Objective(weight=1, target=0.5, limit=5)
LINEAR = Objective(weight=1, target=0.99, limit=0.95)


def at(value, key="latency_p99_ms", objective=LOG):
    return float(utility(np.array([value]), key, objective)[0])


def test_times_are_judged_in_logarithms():
    assert at(0.5) == 1.0
    assert at(5.0) == 0.0
    assert at(math.sqrt(0.5 * 5.0)) == pytest.approx(0.5)


def test_accuracy_is_judged_linearly():
    assert at(0.97, "accuracy", LINEAR) == pytest.approx(0.5)


def test_the_scale_can_be_overridden():
    assert at(2.75, objective=Objective(weight=1, target=0.5, limit=5, scale="linear")) == pytest.approx(0.5)


def test_a_metric_that_is_better_when_higher_rises():
    more = Objective(weight=1, target=1000, limit=10)
    assert at(100, "offline.throughput_per_s", more) == pytest.approx(0.5)


def test_beyond_the_ends_nothing_is_won_or_lost():
    assert (at(0.001), at(0.0), at(500.0)) == (1.0, 1.0, 0.0)


positive = st.floats(1e-6, 1e6)


@given(positive, positive)
def test_utility_is_monotone_and_within_0_and_1(one, two):
    one, two = sorted((one, two))
    assert 0.0 <= at(two) <= at(one) <= 1.0


@pytest.mark.parametrize("log_noise", [True, False])
@pytest.mark.parametrize("scale", ["log", "linear"])
def test_slope_is_the_derivative(log_noise, scale):
    objective = Objective(weight=1, target=0.5, limit=5, scale=scale)
    moved = 2.0 * math.exp(1e-6) if log_noise else 2.0 + 1e-6
    rise = (at(moved, objective=objective) - at(2.0, objective=objective)) / 1e-6
    assert slope(2.0, log_noise, "latency_p99_ms", objective) == pytest.approx(rise, rel=1e-4)
