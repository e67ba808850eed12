"""Latency by rate: windows of like rates are one point, and the windows of a trial one cluster."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from harness.analyse.loads import Offered, load_points, offered_of
from harness.stats.pooled import pooled_quantile

RNG = np.random.default_rng(4)


def window(rate: float, trial: int, median_ms: float, n: int = 600) -> Offered:
    return Offered(rate, trial, (RNG.lognormal(np.log(median_ms), 0.2, n) * 1e6).astype(np.int64))


def test_rates_within_a_few_percent_are_one_point_with_trials_as_clusters():
    windows = [window(rate * (1 + 0.01 * trial), trial, rate / 100) for rate in (1000.0, 100.0) for trial in range(3)]
    low, high = load_points(windows)
    assert (low.trials, low.n, high.trials) == (3, 1800, 3)
    assert low.rate_per_s == pytest.approx(101, rel=0.01) and high.rate_per_s == pytest.approx(1010, rel=0.01)
    assert low.p50_ms == pytest.approx(1, rel=0.1) and high.p50_ms == pytest.approx(10, rel=0.1)
    told = pooled_quantile([each.latency_ns for each in windows[3:]], 0.99, queued=True)
    assert (low.p99_ms, low.low_ms, low.high_ms) == pytest.approx([x / 1e6 for x in told[:3]])


def test_one_trial_bounds_nothing_and_empty_windows_are_left_out():
    (only,) = load_points([window(50.0, 0, 1.0), Offered(900.0, 0, np.zeros(0, np.int64))])
    assert (only.trials, only.high_ms) == (1, np.inf)
    assert load_points([]) == []


def test_two_windows_of_one_trial_are_one_cluster():
    (point,) = load_points([window(50.0, 0, 1.0), window(50.0, 0, 1.0)])
    assert (point.trials, point.n) == (1, 1200)


def test_windows_of_closed_loops_are_no_load():
    loop = SimpleNamespace(rate_per_s=20.0)
    windows = [SimpleNamespace(name="s.1", open_loop=loop), SimpleNamespace(name="s.alone", open_loop=None)]
    trial = SimpleNamespace(
        block=2,
        outcome=SimpleNamespace(status="ok"),
        windows=lambda scenario: windows if scenario == "s" else [],
        requests=lambda name: np.array([len(name)]),
    )
    assert [(each.rate_per_s, each.trial, each.latency_ns.tolist()) for each in offered_of([trial], "s")] == [
        (20.0, 2, [3])
    ]
    assert offered_of([trial], "other") == []
