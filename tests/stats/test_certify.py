"""Certification of a limit: literal numbers and error rates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.stats.certify import certify, certify_in_order, planned_looks, samples_to_certify


@pytest.mark.parametrize(("over", "n"), [(0, 459), (1, 662), (5, 1307), (10, 2010)])
def test_samples_to_certify_p99(over, n):
    assert samples_to_certify(0.99, over, 0.01) == n


def test_certificates_are_given_at_planned_looks_only():
    assert planned_looks(4) == (662, 993, 1490, 2235)
    assert certify(661, 0) == "undecided" and certify(662, 0) == "undecided"  # 0.0013 > 0.01 / 8
    assert certify(662, 0, looks=4) == "holds" and certify(662, 6) == "undecided"
    assert certify(662, 40) == "broken" and certify(993, 0) == "holds" and certify(994, 0) == "undecided"
    certificates = [certify(662, over) for over in range(30)]
    tails = [stats.binom.sf(over - 1, 662, 0.01) <= 0.01 / 8 for over in range(30)]
    assert [each == "broken" for each in certificates] == tails and any(tails)
    with pytest.raises(ValueError, match="between 0 and 5"):
        certify(5, 6)
    with pytest.raises(ValueError, match="negative"):
        samples_to_certify(over=-1)


@given(st.integers(0, 100), st.integers(0, 100), st.sampled_from(planned_looks()))
def test_more_over_the_bound_never_helps(first, second, n):
    order = ("broken", "undecided", "holds")
    few, many = sorted((first, second))
    assert order.index(certify(n, few)) >= order.index(certify(n, many))


def certificates(rate, seed):
    rng = np.random.default_rng(seed)
    looks = planned_looks()
    counts = np.cumsum(rng.binomial(np.diff(looks, prepend=0), rate, size=(2000, len(looks))), axis=1)
    table = {(n, over): certify(n, over) for n, col in zip(looks, counts.T, strict=True) for over in set(col)}
    rows = [[table[n, over] for n, over in zip(looks, row, strict=True)] for row in counts]
    return [next((each for each in row if each != "undecided"), "undecided") for row in rows]


def test_a_system_at_its_limit_passes_or_fails_in_at_most_one_percent():
    at_limit = certificates(0.01, seed=5)
    assert at_limit.count("holds") <= 20 and at_limit.count("broken") <= 20
    assert at_limit.count("holds") + at_limit.count("broken") >= 1


def test_systems_off_their_limit_are_found():
    assert certificates(0.002, seed=6).count("holds") >= 1990
    assert certificates(0.03, seed=7).count("broken") >= 1990


def test_samples_in_order_stop_at_the_first_certificate():
    good = np.full(3000, 1.0)
    assert certify_in_order(good, bound=1.0) == "holds"
    assert certify_in_order(good[:992], bound=1.0) == "undecided"
    assert certify_in_order(np.r_[np.full(100, 2.0), good], bound=1.0) == "broken"
