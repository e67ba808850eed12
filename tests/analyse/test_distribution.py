"""Latency distributions: the curve is what the requests are, the band what they show."""

from __future__ import annotations

import numpy as np
import pytest

from harness.analyse.distribution import band, curve
from harness.stats.pooled import pooled_quantile


def trials(count: int, requests: int, spread: float = 0.02) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [(rng.lognormal(spread * rng.standard_normal(), 0.5, requests) * 1e6).astype(np.int64) for _ in range(count)]


def test_the_curve_is_the_requests_in_order():
    requests = trials(3, 1000)
    found, ordered = curve(requests), np.sort(np.concatenate(requests)) / 1e6
    assert (found.n, found.trials) == (3000, 3)
    assert found.values_ms.tolist() == [ordered[min(int(3000 * level), 2999)] for level in found.levels]
    assert np.all(np.diff(found.levels) > 0) and np.all(np.diff(found.values_ms) >= 0)
    assert found.levels[-1] == pytest.approx(1 - 1 / 3000) and found.values_ms[-1] == ordered[-1]


def test_the_tail_ends_at_one_in_a_hundred_thousand():
    assert curve([np.arange(1, 400_001) * 1000]).levels[-1] == pytest.approx(1 - 1e-5)


@pytest.mark.parametrize("requests", [1, 2, 30])
def test_few_requests_have_a_curve_and_a_band_without_ends(requests):
    few = [np.arange(1, requests + 1, dtype=np.int64) * 1_000_000]
    assert curve(few).values_ms[-1] == requests
    assert np.isinf(band(few).high_ms).all()


def test_the_band_is_the_intervals_of_the_table():
    requests = trials(5, 2000)
    found = band(requests)
    at = found.levels.tolist().index(0.99)
    told = pooled_quantile(requests, 0.99)
    assert (found.low_ms[at], found.high_ms[at]) == (told.low / 1e6, told.high / 1e6)
