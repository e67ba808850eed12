"""What would settle an open question, against the rules that make it open."""

from __future__ import annotations

import numpy as np
import pytest

from harness.score.estimate import is_thin
from harness.score.records import Measure, More
from harness.score.settle import to_bound
from harness.stats import pooled
from harness.stats.pooled import pooled_quantile

P99 = "latency_p99_ms"


def trials(rng, count, each, spread):
    return [np.exp(spread * rng.standard_normal() + 0.5 * rng.standard_normal(each)) for _ in range(count)]


def measured(requests):
    found = pooled_quantile(requests, 0.99)
    high = found.high if np.isfinite(found.high) else None
    low = found.low if np.isfinite(found.low) else None
    n = sum(map(len, requests))
    return Measure(
        value=found.value, low=low, high=high, n=n, trials=len(requests), unit="ms", basis="pooled",
        effective_n=found.effective_n,
    )  # fmt: skip


@pytest.mark.parametrize(("count", "each"), [(1, 300), (2, 150), (3, 100), (4, 40)])
def test_the_blocks_that_are_said_to_bound_p99_do(count, each):
    """In two of three runs at least; a third fewer trials do in one of three at most."""
    rng, enough, less, runs = np.random.default_rng(1), 0, 0, 60
    for _ in range(runs):
        first = trials(rng, count, each, 0.02)
        more = to_bound(measured(first), P99)
        assert more.requests == more.blocks * each
        rest = trials(rng, more.blocks, each, 0.02)
        enough += measured([*first, *rest]).high is not None
        less += measured([*first, *rest[: (count + more.blocks) * 2 // 3 - count]]).high is not None
    print(f"{enough} and {less} of {runs}")
    assert enough >= runs * 2 / 3
    assert less <= runs / 3


def test_requests_that_wait_for_one_another_count_as_what_they_are_worth():
    made = dict(value=2.0, low=1.0, high=None, n=5000, trials=5, unit="ms", basis="pooled", effective_n=40.0)
    free, queued = Measure(**made), Measure(**made, independent_n=50.0)
    assert to_bound(free, P99).blocks < 100
    more = to_bound(queued, P99)
    assert more.requests == more.blocks * 1000
    enough = [pooled.enough(blocks * 10, blocks, 0.99) for blocks in (5 + more.blocks, 4 + more.blocks)]
    assert enough == [True, False]


def test_it_is_thin_if_requests_lack_and_not_if_trials_differ():
    rng = np.random.default_rng(2)
    few, differing = measured(trials(rng, 4, 50, 0.0)), measured(trials(rng, 4, 3000, 1.0))
    assert (few.high, differing.high) == (None, None)
    assert (is_thin(few, P99), is_thin(differing, P99)) == (True, False)


def test_a_far_tail_of_few_requests_needs_all_of_them():
    """p99.9 needs 3,688 requests: of trials with ten each, 369 in all."""
    few = Measure(value=3.0, low=None, high=None, n=30, trials=3, unit="ms", basis="pooled")
    assert to_bound(few, "latency_p99_9_ms") == More(366, 3660)


def test_other_metrics_need_a_second_trial_and_then_nothing_is_known_to_help():
    one = Measure(value=3.0, low=None, high=None, n=1, trials=1, unit="ms")
    assert to_bound(one, "load_ms").blocks == 1
    assert to_bound(one, "load_ms").requests is None
    two = Measure(value=3.0, low=1.0, high=None, n=2, trials=2, unit="ms")
    assert to_bound(two, "load_ms") == More()


def test_what_cold_starts_feed_needs_more_of_them_and_no_blocks():
    """An effective 184 of the 368 requests that p99 needs: as many starts again."""
    one = Measure(value=3.0, low=1.0, high=None, n=900, trials=30, unit="ms", basis="simulated", effective_n=184.0)
    assert to_bound(one, "users.latency_p99_ms") == More(starts=30)
    cost = Measure(value=3.0, low=None, high=None, n=900, trials=1, unit="USD", basis="simulated")
    assert to_bound(cost, "cost_per_million_usd") == More(starts=1)


def test_percentiles_of_starts_need_starts():
    few = Measure(value=3.0, low=None, high=None, n=3, trials=3, unit="ms", basis="pooled")
    assert to_bound(few, "cold_total_p50_ms") == More(starts=3)
    assert to_bound(few, "cold_total_p99_ms") == More(starts=365)
    warm = Measure(value=3.0, low=1.0, high=None, n=80, trials=10, unit="ms", basis="pooled")
    assert to_bound(warm, "warm_invoke_p99_ms") == More(starts=36), "eight warm requests each"
