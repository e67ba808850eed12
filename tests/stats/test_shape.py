"""Steadiness, the shape of a run, and when to stop sampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.changepoint import classify, segments
from harness.stats.stopping import agree


def noise(n, seed=0, sd=0.02):
    return 1.0 + sd * np.random.default_rng(seed).standard_normal(n)


def test_windows_agree_on_median_and_quartiles():
    assert agree([98, 100, 102], [99, 101, 103])
    assert not agree([98, 100, 102], [101, 103, 105])  # medians 3 % apart
    assert not agree([100, 100, 100], [101, 101, 101])  # 1 % apart, but the quartiles do not meet
    assert not agree([], [1]) and not agree([1], [])
    assert agree([98, 100, 106], [101, 103, 105], tolerance=0.05)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=30), st.integers(1, 1000))
def test_agreement_ignores_the_unit_and_a_window_agrees_with_itself(window, factor):
    assert agree(window, window)
    scaled = [value * factor for value in window]
    shifted = [value + 1 for value in window]
    assert agree(scaled, [value * factor for value in shifted]) == agree(window, shifted)


FLAT = {
    "normal": lambda rng, n: 1 + 0.02 * rng.standard_normal(n),
    "lognormal": lambda rng, n: rng.lognormal(0, 0.5, n),
    "pareto": lambda rng, n: 1 + rng.pareto(1.2, n),
    "cauchy": lambda rng, n: 100 + rng.standard_cauchy(n),
    "ticks": lambda rng, n: rng.integers(99, 102, n),
    "two modes": lambda rng, n: rng.choice([1.0, 1.3], n),
    "constant": lambda rng, n: np.full(n, 7),
}


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("n", [1000, 20_000])
def test_noise_without_a_change_is_flat(name, n):
    assert {classify(FLAT[name](np.random.default_rng(seed), n)) for seed in range(8)} == {"flat"}


@pytest.mark.parametrize("n", [60, 1000, 100_000])
def test_shapes_with_names(n):
    at = np.arange(n) / n
    assert classify(noise(n) * np.where(at < 0.2, 1.3, 1.0)) == "warmup"
    assert classify(noise(n) * np.where(at < 0.5, 1.0, 1.2)) == "slowdown"
    assert classify(noise(n) * np.where(at < 0.9, 1.0, 1.2)) == "no_steady_state"
    assert classify(noise(n) * (1 + np.exp(-at / 0.05))) == "warmup"


def test_a_warm_up_shows_through_heavy_tails_and_a_cycle_never_settles():
    at = np.arange(2000) / 2000
    tails = np.random.default_rng(1).lognormal(0, 0.5, 2000)
    assert classify(tails * np.where(at < 0.3, 2.0, 1.0)) == "warmup"
    assert classify(noise(2000) * np.where((10 * at).astype(int) % 2, 1.0, 1.2)) == "no_steady_state"


def test_segments_find_the_place():
    found = segments(np.r_[noise(70), 1.5 * noise(130, seed=1)])
    assert [(each.start, each.stop) for each in found] == [(0, 70), (70, 200)]
    assert [each.level for each in found] == pytest.approx([1.0, 1.5], abs=0.02)


def test_tiny_series():
    assert classify([5]) == classify([5, 5]) == "flat"
    with pytest.raises(ValueError, match="no samples"):
        classify([])
