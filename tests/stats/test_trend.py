"""Trends over runs: noise from run to run, shifts of the level."""

from __future__ import annotations

import numpy as np
import pytest

from harness.stats.trend import FEWEST, bins, scatter, trend


def noisy(levels: list[tuple[float, int]], noise: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([level * np.exp(rng.normal(0, noise, n)) for level, n in levels])


def test_a_shift_is_found_where_it_is():
    found = trend(noisy([(10.0, 60), (10.5, 40)], 0.01))
    (shift,) = found.shifts
    assert abs(shift.at - 60) <= 2 and shift.change == pytest.approx(0.05, abs=0.006)
    assert found.since == shift.at and found.level == pytest.approx(10.5, rel=0.005)


def test_noise_alone_has_no_shift():
    flat = [trend(noisy([(10.0, 100)], 0.03, seed)).shifts for seed in range(40)]
    assert sum(map(bool, flat)) <= 2


@pytest.mark.parametrize("noise", [0.01, 0.04])
def test_the_scatter_is_that_of_one_run_whatever_the_shifts(noise):
    assert scatter(noisy([(1.0, 150), (3.0, 150)], noise)) == pytest.approx(noise, rel=0.25)


def test_few_runs_have_a_level_and_nothing_more():
    found = trend([1.0, 9.0, 2.0, 3.0, 2.5][: FEWEST - 1])
    assert (found.level, found.since, found.noise, found.shifts) == (2.5, 0, None, ())
    assert scatter(np.zeros(10)) is None
    with pytest.raises(ValueError, match="no values"):
        trend([])


def test_bins_are_medians_of_parts():
    assert bins([1, 2, 3, 10, 11, 12], 2) == [2, 11]
    assert bins([5.0], 9) == [5.0] and bins([], 9) == []
