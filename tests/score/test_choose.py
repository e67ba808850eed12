"""Which percentile ranks a run without a suite."""

from __future__ import annotations

import math

import pytest

from harness.score.choose import choose
from harness.score.records import Measure

LADDER = {"latency_p50_ms": 0.5, "latency_p90_ms": 0.9, "latency_p95_ms": 0.95, "latency_p99_ms": 0.99}


def cell(make, name, highest, requests=400, **more):
    """A cell whose percentiles up to `highest` have an upper end."""
    metrics = {
        key: Measure(
            value=2.0, low=1.8, high=2.2 if LADDER[key] <= highest else None, n=requests, trials=4, unit="ms",
            basis="pooled", effective_n=requests / 2,
        )
        for key in LADDER
    }  # fmt: skip
    loads = {key: (0.05, -0.05, 0.03, -0.03) for key in LADDER}
    return make.entry(name, metrics=metrics, loads=loads, **more)


@pytest.mark.parametrize(
    ("highest", "key"),
    [((0.99, 0.99), "latency_p99_ms"), ((0.99, 0.9), "latency_p90_ms"), ((0.5, 0.95), "latency_p50_ms")],
)
def test_the_highest_percentile_that_all_rows_bound_ranks(make, highest, key):
    policy, note = choose([cell(make, name, p) for name, p in zip("ab", highest, strict=True)])
    assert list(policy.objectives) == [key]
    assert (note.code, note.data["metric"]) == ("ranked_by", key)


def test_the_note_says_which_and_why_and_what_p99_would_take(make):
    """Trials of 50 requests count for 50 (1.96 / t_{2k-1})²; k = 9 is the first that makes 368."""
    _, note = choose([cell(make, "fast", 0.99), cell(make, "slow", 0.9, requests=200)])
    assert note.message == (
        "ranked by p90, the highest that all rows bound: too few requests for p99 of slow@cpu, "
        "which needs about 250 more requests"
    )
    assert choose([cell(make, "fast", 0.99)])[1].message == "ranked by p99"


def test_rows_that_left_early_failed_or_were_skipped_do_not_lower_it(make):
    entries = [
        cell(make, "a", 0.99),
        cell(make, "b", 0.5, status="dropped", beaten_by="a@cpu"),
        make.entry("c", status="failed", failure="oom"),
    ]
    assert list(choose(entries)[0].objectives) == ["latency_p99_ms"]


def test_where_no_percentile_is_bounded_for_all_the_median_ranks_and_the_note_says_so(make):
    policy, note = choose([cell(make, "a", 0.99), cell(make, "b", 0.0)])
    assert list(policy.objectives) == ["latency_p50_ms"]
    assert note.message.startswith("ranked by p50, which not all rows bound: too few requests for p99 of b@cpu")


def test_without_rows_p99_is_the_answer():
    policy, note = choose([])
    assert (list(policy.objectives), note.message) == (["latency_p99_ms"], "ranked by p99")


def test_the_scale_has_room_for_ten_microseconds_and_a_minute():
    (objective,) = choose([])[0].objectives.values()
    assert objective.target < 0.01 and objective.limit > 60_000 and math.isfinite(objective.limit)
