"""From entries to the table of values by block that the race is decided on."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from harness.pipeline.race import (
    broken_limit,
    decide,
    fixed_of,
    fixed_per_objective,
    is_open,
    per_objective,
    rule_of,
    values_of,
)
from harness.score.compare import tie_margin
from harness.score.records import Entry, Measure, RowScores
from harness.score.weights import single_log_metric
from harness.spec.metrics import lookup
from harness.spec.policy import Limit, Objective, Policy

P50, P99, RATE = "latency_p50_ms", "latency_p99_ms", "throughput_per_s"
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


def judged(name, times, wrong, rows=1000):
    """A cell with trials, and an accuracy over dataset rows."""
    right = np.ones(rows)
    right[list(wrong)] = 0.0
    made = entry(name, {P50: times}, accuracy=float(right.mean()))
    return msgspec.structs.replace(made, rows={"accuracy": RowScores(values=right)})


STEADY = np.array([0.99, 1.01, 1.0, 1.02, 0.98])


def test_what_more_blocks_do_not_reduce_is_the_dataset_paired_by_row():
    """Weight 1/4 over a scale of 0.5: a difference on 8 rows has the variance (8 + 2) / 1004² of Bonett and Price."""
    cells = [judged("a", STEADY, range(40)), judged("b", STEADY, range(8, 40)), entry("c", {P50: STEADY})]
    fixed = fixed_of(cells, BOTH)
    assert fixed.shape == (3, 3)
    assert fixed[0, 1] == fixed[1, 0] == pytest.approx((0.25 / 0.5) ** 2 * 10 / 1004**2, rel=0.1)
    assert fixed[0, 0] == 0.0
    assert fixed_per_objective(cells, BOTH)[0, 1].tolist() == [0.0, pytest.approx(16 * fixed[0, 1])]


def test_without_metrics_of_rows_nothing_is_fixed():
    cells = [entry(name, {P50: STEADY}) for name in "ab"]
    assert not fixed_of(cells, FASTEST).any()
    assert not fixed_of([], FASTEST).any()


def test_cells_that_only_more_data_could_tell_apart_rest_and_are_not_dropped():
    """Twins in speed; one is right on six rows more of 300, which is luck in one case of six."""
    cells = [judged("a", STEADY, range(6), 300), judged("b", STEADY * 1.001, range(6, 18), 300)]
    accurate = Policy(objectives=BOTH.objectives | {"accuracy": Objective(weight=9, target=1.0, limit=0.9)})
    decision = decide(cells, accurate, 5, {0, 1}, rule_of(accurate, "winner", 30, 3))
    assert (decision.leader, decision.eliminated, decision.data_limited) == (0, (), (1,))
    many = [judged("a", STEADY, range(60), 30_000), judged("b", STEADY * 1.001, range(6000, 7800), 30_000)]
    assert [drop.cell for drop in decide(many, accurate, 5, {0, 1}, rule_of(accurate, "winner", 30, 3)).eliminated] == [
        1
    ]


def test_a_front_is_raced_by_objective():
    cells = [judged("a", STEADY, range(3)), judged("b", 2 * STEADY, range(400))]
    decision = decide(cells, BOTH, 5, {0, 1}, rule_of(BOTH, "front", 30, 3))
    assert [drop.cell for drop in decision.eliminated] == [1]


def test_a_tail_with_too_few_requests_can_break_a_limit_but_a_high_value_alone_does_not():
    def tail(value):
        found = Measure(
            value=value, low=value / 1.3, high=None, n=80, trials=4, unit="ms", basis="pooled", effective_n=70.0
        )
        return Entry(
            candidate="a", target="t", status="measured", metrics={P99: found}, loads={P99: (0.05, -0.05, 0.03, -0.03)}
        )  # fmt: skip

    limited = Policy(limits={P99: Limit(max=5)}, objectives=FASTEST.objectives)
    assert broken_limit(tail(4.0), limited, 0.05) is None
    assert broken_limit(tail(5.2), limited, 0.05) is None
    assert broken_limit(tail(9.0), limited, 0.05)[0] == P99


START = "cold_total_p99_ms"
STARTS = Policy(objectives={START: Objective(weight=1, target=10, limit=1000)})


def started(name, value, low, high):
    found = Measure(value=value, low=low, high=high, n=30, trials=30, unit="ms", basis="pooled")
    return Entry(
        candidate=name,
        target="t",
        status="measured",
        metrics={START: found, P50: measure(P50, 1.0)},
        trials={P50: (1.0, 1.0, 1.0)},
    )


def test_the_noise_of_cold_starts_is_one_that_more_blocks_do_not_reduce():
    far, near = (fixed_of([started("a", 100, 100 - w, 100 + w), started("b", 120, 119, 121)], STARTS) for w in (40, 1))
    assert far[0, 1] > near[0, 1] > 0.0


def test_a_percentile_of_starts_without_an_upper_end_keeps_no_race_going():
    open_end = started("a", 100.0, 90.0, None)
    assert not is_open(open_end, STARTS)
    tail = Measure(value=1.0, low=None, high=None, n=30, trials=1, unit="ms", basis="pooled")
    thin = Entry(candidate="a", target="t", status="measured", metrics={P99: tail}, trials={P99: (1.0,)})
    assert is_open(thin, Policy(objectives={P99: Objective(weight=1, target=1, limit=100)}))
