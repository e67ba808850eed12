"""From entries to the table of values by block that the race is decided on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.pipeline.race import broken_limit, per_objective, rule_of, values_of
from harness.score.compare import tie_margin
from harness.score.records import Entry, Measure
from harness.score.weights import single_log_metric
from harness.spec.metrics import lookup
from harness.spec.policy import Limit, Objective, Policy

P50, RATE = "latency_p50_ms", "throughput_per_s"
FASTEST = Policy(objectives={P50: Objective(weight=1, target=1, limit=100)})
BUSIEST = Policy(objectives={RATE: Objective(weight=1, target=100, limit=1)})
BOTH = Policy(
    objectives={
        P50: Objective(weight=3, target=1, limit=100),
        "accuracy": Objective(weight=1, target=1.0, limit=0.5),
    }
)


def measure(key, value, spread=0.0, trials=3):
    low, high = value - spread, value + spread
    return Measure(value=value, low=low, high=high, n=100, trials=trials, unit=lookup(key).unit)


def entry(name, trials=None, **metrics):
    kept = {key: tuple(values) for key, values in (trials or {}).items()}
    measures = {key: measure(key, float(np.nanmean(values))) for key, values in kept.items()}
    measures |= {key: measure(key, value) for key, value in metrics.items()}
    return Entry(candidate=name, target="t", status="measured", metrics=measures, trials=kept)


def test_a_single_metric_in_logarithms_is_raced_by_its_ratio():
    assert single_log_metric(FASTEST) == P50
    table = values_of([entry("a", {P50: [1, 2]}), entry("b", {P50: [2, 2]})], FASTEST, 2)
    np.testing.assert_allclose(table, [[0, -math.log(2)], [-math.log(2), -math.log(2)]])  # higher is better
    table = values_of([entry("a", {RATE: [10, 20]})], BUSIEST, 2)
    np.testing.assert_allclose(table, np.log([[10], [20]]))


@pytest.mark.parametrize(
    "policy",
    [BOTH, Policy(objectives={P50: Objective(weight=1, target=1, limit=100, scale="linear")})],
)
def test_other_policies_are_raced_by_utility(policy):
    assert single_log_metric(policy) is None


def test_a_weightless_second_objective_leaves_one():
    weightless = Policy(
        objectives={
            **FASTEST.objectives,
            "load_ms": Objective(weight=0, target=1, limit=9),
        }
    )
    assert single_log_metric(weightless) == P50


def test_utilities_by_block_in_literal_numbers():
    a = entry("a", {P50: [1, 10, 100]}, accuracy=0.75)
    np.testing.assert_allclose(per_objective([a], BOTH, 3)[:, 0], [[1, 0.5], [0.5, 0.5], [0, 0.5]])
    np.testing.assert_allclose(values_of([a], BOTH, 3), [[0.875], [0.5], [0.125]])


def test_blocks_a_cell_did_not_run_are_not_numbers():
    out = entry("out", {P50: [1, 1]}, accuracy=0.75)
    holes = entry("holes", {P50: [1, math.nan, 1]}, accuracy=0.75)
    table = values_of([out, holes], BOTH, 3)
    assert np.isnan(table).tolist() == [[False, False], [False, True], [True, False]]
    assert np.isnan(per_objective([out], BOTH, 3)[2]).all()
    assert np.isnan(per_objective([holes], BOTH, 3)[1]).all(), "also a metric without trials of its own"


def test_a_metric_that_is_not_known_is_no_number_in_any_block():
    table = values_of([entry("a", {P50: [1, 1]})], BOTH, 2)
    assert np.isnan(table).all()
    assert np.isnan(values_of([entry("a")], FASTEST, 2)).all()


def test_more_trials_than_blocks_asked_for_are_left_out():
    np.testing.assert_allclose(values_of([entry("a", {P50: [1, 1, 50]})], FASTEST, 2), [[0], [0]])


LIMITED = Policy(limits={P50: Limit(max=5)}, objectives=FASTEST.objectives)


def test_a_limit_is_broken_only_where_that_is_certain():
    assert broken_limit(entry("good", {P50: [1.0, 1.01, 0.99]}), LIMITED, 0.05) is None
    key, p = broken_limit(entry("bad", {P50: [50.0, 50.5, 49.5]}), LIMITED, 0.05)
    assert (key, p < 0.05) == (P50, True)
    assert broken_limit(entry("unknown"), LIMITED, 0.05) is None
    alone = Entry(
        candidate="once",
        target="t",
        status="measured",
        metrics={P50: Measure(value=50, low=None, high=None, n=100, trials=1, unit="ms")},
        trials={P50: (50.0,)},
    )
    assert broken_limit(alone, LIMITED, 0.05) is None


def test_a_tie_is_two_percent_of_a_metric_or_a_hundredth_of_the_score():
    assert rule_of(FASTEST, "winner", 30, 5).margin == 0.02
    assert rule_of(BOTH, "front", 30, 3).margin == 0.01
    rule = rule_of(BOTH, "front", 30, 3)
    assert (rule.blocks, rule.first_look, rule.mode) == (30, 3, "front")


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_race_and_ranking_call_the_same_difference_a_tie(scale):
    policy = Policy(objectives={P50: Objective(weight=1, target=1, limit=100, scale=scale)})
    assert rule_of(policy, "winner", 30, 5).margin == tie_margin(policy) == (0.02 if scale == "log" else 0.01)
