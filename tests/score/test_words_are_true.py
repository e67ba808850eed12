"""What a row's reasons and lines say must follow from its numbers, also where inputs are odd."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from harness.score.estimate import estimate, saturation
from harness.score.explain import explain
from harness.score.rank import rank
from harness.score.records import Measure
from harness.spec.diagnostics import diagnostic
from harness.spec.policy import Limit, Objective, Policy

P50, P99, COST = "latency_p50_ms", "latency_p99_ms", "cost_per_million_usd"
FAST = Objective(weight=1, target=0.1, limit=10)
SPEED = Policy(objectives={P99: FAST})


def ranked(entries, policy):
    return rank(entries, policy, suite="s", draws=200)


def lines(entries, policy, place=0):
    made = ranked(entries, policy)
    return explain(made, policy, made.rows[place])


def pooled(value, low, high, n=40_000, trials=4):
    return Measure(value=value, low=low, high=high, n=n, trials=trials, unit="ms", basis="pooled", effective_n=n)


def test_a_row_is_dominated_in_what_counts_only(make):
    """`b` is cheaper, but cost has no weight: it is dominated by being slower, not by being more expensive."""
    objectives = {P99: FAST, COST: Objective(weight=0, target=0.1, limit=10)}
    a = make.entry("a", {P99: (1.0, 1.01, 0.99), COST: (5.0, 5.1, 4.9)})
    b = make.entry("b", {P99: (2.0, 2.01, 1.99), COST: (0.2, 0.21, 0.19)})
    made = ranked([a, b], Policy(objectives=objectives))
    (said,) = [reason.message for reason in made.rows[1].reasons if reason.code == "dominated"]
    assert said == "dominated by a@cpu: slower"


def test_what_is_not_known_is_not_called_worse(make):
    objectives = {P99: FAST, COST: Objective(weight=1, target=0.1, limit=10)}
    a, b = make.entry("a", {P99: (1.0, 1.01, 0.99), COST: (5.0, 5.1, 4.9)}), make.entry("b", {P99: (2.0, 2.01, 1.99)})
    made = ranked([a, b], Policy(objectives=objectives, missing="ignore"))
    (said,) = [reason.message for reason in made.rows[1].reasons if reason.code == "dominated"]
    assert said == "dominated by a@cpu: slower and cost per million not known"


def test_a_limit_that_is_broken_is_not_called_undecided(make):
    """Nothing is known of the upper side of p99, but all of the lower one is beyond the limit."""
    thin = pooled(9.0, 8.0, None, n=300, trials=3)
    entry = make.entry("a", metrics={P99: thin}, loads={P99: (0.01, -0.02, 0.01)})
    policy = msgspec.structs.replace(SPEED, limits={P99: Limit(max=5)})
    made = ranked([entry], policy)
    assert [reason.code for reason in made.rows[0].reasons] == ["limit_broken"]
    assert made.rows[0].limits[P99] < 0.05
    assert "limit p99 at most 5 ms: broken (P < 0.001), 9 ms [8, ?], missed by 4 ms (80 %)" in lines([entry], policy)


def test_a_value_between_two_bounds_breaks_neither(make):
    """Three trials from 0.01 to 100 ms say next to nothing of a band of 0.9 to 1.1 ms."""
    policy = msgspec.structs.replace(SPEED, limits={P99: Limit(min=0.9, max=1.1)})
    made = ranked([make.entry("a", {P99: (0.01, 100.0, 1.0)})], policy)
    assert made.rows[0].status == "undecided" and made.rows[0].limits[P99] < 0.05
    assert not [reason for reason in made.rows[0].reasons if reason.severity == "error"]
    assert any(": undecided (P = 0.03)" in line for line in explain(made, policy, made.rows[0]))


@pytest.mark.parametrize(("bound", "eligible"), [(5.0, True), (math.nextafter(5.0, 0.0), False)])
def test_a_value_at_its_limit_keeps_it(make, bound, eligible):
    policy = msgspec.structs.replace(SPEED, limits={P99: Limit(max=bound)})
    row = ranked([make.entry("a", exact={P99: 5.0})], policy).rows[0]
    assert row.eligible is eligible


def test_digits_show_by_what_a_limit_is_missed(make):
    policy = msgspec.structs.replace(SPEED, limits={P99: Limit(max=5)})
    said = lines([make.entry("a", exact={P99: 5.0001})], policy)
    assert "limit p99 at most 5 ms: broken (P < 0.001), 5.0001 ms, missed by 0.0001 ms (<1 %)" in said


def test_a_row_of_one_trial_has_one_block(make):
    entry = make.entry("a", {P99: (1.0,)}, metrics={P99: pooled(1.0, None, None, trials=1)}, loads={P99: (0.0,)})
    assert ranked([entry], SPEED).rows[0].blocks == 1


def test_minutes_are_those_of_the_blocks_that_are_said(make):
    """`b` asks for more blocks, too, but also for dataset rows: blocks alone do not settle it."""
    limits = {P99: Limit(max=5), "accuracy": Limit(min=0.95)}
    policy = Policy(limits=limits, objectives={P99: FAST})
    a = make.entry("a", {P99: (4.9, 4.95, 5.02)}, correct=make.right(2000), request_s=0.01)
    b = make.entry("b", {P99: (4.9, 4.99, 5.09)}, correct=make.right(200, range(8)), request_s=0.01)
    made = ranked([a, b], policy)
    (note,) = [note for note in made.notes if note.code == "rows_undecided"]
    (asked,) = [reason for reason in made.rows[0].reasons if reason.code == "undecided"]
    assert made.rows[0].candidate == "a"
    assert (note.data["more_blocks"], note.data["minutes"]) == (asked.data["more_blocks"], asked.data["minutes"])
    assert note.message.endswith("should settle 1 of them")


def test_a_row_out_of_the_race_is_promised_no_time(make):
    policy = msgspec.structs.replace(SPEED, limits={P99: Limit(max=5)})
    a = make.entry("a", {P99: (4.0, 4.1, 4.05)}, request_s=0.01)
    b = make.entry("b", {P99: (4.9, 4.95, 5.02)}, status="dropped", beaten_by="a@cpu", request_s=0.01)
    (asked,) = [reason for reason in ranked([a, b], policy).rows[1].reasons if reason.code == "undecided"]
    assert asked.data["more_blocks"] > 0 and asked.data["minutes"] is None


def test_dataset_rows_are_asked_of_their_metrics_only(make):
    """Three trials that agree exactly leave the spread within them: no labelled row would make it smaller."""
    policy = msgspec.structs.replace(SPEED, limits={COST: Limit(max=1.0)})
    cost = Measure(value=0.99, low=0.9, high=1.1, n=3, trials=3, unit="USD", basis="within")
    entry = make.entry("a", {P99: (1.0, 1.01, 0.99), COST: (0.99, 0.99, 0.99)}, metrics={COST: cost})
    (asked,) = [reason for reason in ranked([entry], policy).rows[0].reasons if reason.code == "undecided"]
    assert asked.data["more_rows"] is None and asked.message.endswith("more of the same would hardly tell")


def test_a_gap_without_shared_blocks_is_not_blamed_on_one_trial(make):
    a = make.entry("a", {P99: (1.0, 1.01, 0.99, math.nan, math.nan)})
    b = make.entry("b", {P99: (math.nan, math.nan, math.nan, 2.0, 2.01)})
    said = lines([a, b], SPEED, place=1)
    assert any("its uncertainty is not known, because they share fewer than two blocks" in line for line in said)


def test_a_utility_of_nothing_has_no_sign(make):
    assert "utility 0.00" in "".join(lines([make.entry("a", exact={P99: 10.0})], SPEED))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers_are_not_known(make, value):
    broken = Measure(value=value, low=None, high=None, n=10, trials=3, unit="ms")
    made = ranked([make.entry("a", metrics={P99: broken}), make.entry("b", {P99: (1.0, 1.1, 1.2)})], SPEED)
    assert [(row.candidate, row.place) for row in made.rows] == [("b", 1), ("a", None)]
    assert [reason.code for reason in made.rows[1].reasons] == ["metric_unknown"]


def saturated(affected, trials, **data):
    data = {"prefix": "", "scenario": "load", "affected": affected, "trials": trials} | data
    return diagnostic("saturated", f"saturated in {affected} of {trials} trials", **data)


def test_a_percentile_without_an_upper_end_for_saturation_is_undecided(make):
    measure, keys = pooled(1.1, 1.0, None), {P50: (1.0, 1.01, 0.99, 1000.0)}
    entry = make.entry("a", keys, metrics={P50: measure}, diagnostics=(saturated(1, 4),))
    policy = Policy(limits={P50: Limit(max=5)}, objectives={P50: FAST})
    row = ranked([entry], policy).rows[0]
    assert (row.status, row.eligible, row.limits, row.p_best) == ("undecided", False, {}, None)
    well = msgspec.structs.replace(entry, diagnostics=())
    assert ranked([well], policy).rows[0].status == "undecided", "its trials differ by a thousand"
    assert np.isclose(row.score, ranked([well], policy).rows[0].score)


@pytest.mark.parametrize(
    ("key", "affected", "trials", "certain"),
    [
        (P99, 1, 1, False),
        (P99, 1, 5, False),
        (P99, 2, 5, True),
        (P99, 2, 15, True),
        (P99, 2, 16, False),
        (P99, 3, 16, True),
        (P50, 2, 2, True),
        (P50, 5, 6, False),
        (P50, 9, 10, False),
        (P50, 10, 11, True),
        ("latency_mean_ms", 2, 100, True),
        ("other.latency_p99_ms", 5, 5, False),
        ("throughput_per_s", 5, 5, False),
    ],
)
def test_when_a_latency_is_certain_to_have_no_bound(make, key, affected, trials, certain):
    entry = make.entry("a", diagnostics=(saturated(affected, trials),))
    assert (saturation(entry, key) is not None) is certain


def test_one_objective_has_no_weights_to_speak_of(make):
    """The first row is never first by its draws: the race told it to be, over a row that left early with luck."""
    lucky = make.entry("a", {P99: (1.0, 1.01, 0.99)}, status="dropped", beaten_by="b@cpu")
    made = ranked([lucky, make.entry("b", {P99: (3.0, 3.01, 2.99)})], SPEED)
    assert made.rows[0].candidate == "b" and made.rows[0].acceptability[0] == 0.0
    assert not {"weights_matter", "weights_robust"} & {note.code for note in made.notes}


@pytest.mark.parametrize(("value", "side"), [(0.92, "at least 0.9 ms"), (1.08, "at most 1.1 ms")])
def test_of_two_bounds_the_nearer_one_is_asked_about(make, value, side):
    policy = msgspec.structs.replace(SPEED, limits={P99: Limit(min=0.9, max=1.1)})
    said = lines([make.entry("a", {P99: (0.9 * value, value, value / 0.9)})], policy)
    assert any(f"may be {side} or not" in line for line in said)


def test_a_gap_within_the_noise_of_dataset_rows_is_said_to_need_more_of_them(make):
    """Scores differ by the accuracy of 300 rows alone, by 0.04 ± 0.05: no block tells more of it."""
    accuracy = Policy(objectives={P99: FAST, "accuracy": Objective(weight=9, target=1.0, limit=0.5)})
    a = make.entry("a", {P99: (1.0, 1.01, 0.99)}, correct=make.right(300, range(0, 6)))
    b = make.entry("b", {P99: (1.0, 1.01, 0.99)}, correct=make.right(300, range(100, 112)))
    first, second = ranked([a, b], accuracy).rows
    assert [each.data["winner"] for each in second.reasons if each.code == "dataset_limited"] == ["a@cpu"]
    assert not [each for each in first.reasons if each.code == "dataset_limited"]


def test_draws_for_comparisons_have_the_spread_of_the_trials(make):
    """Wherever their mean is from the value: Σ load² is s²/k."""
    logs = np.log([1.0, 1.2, 1.1])
    measure = pooled(1.5, 1.0, 2.0, n=3000, trials=3)
    entry = make.entry("a", {P99: (1.0, 1.2, 1.1)}, metrics={P99: measure}, loads={P99: (0.1, 0.1, 0.1)})
    loads = estimate(entry, P99).paired.blocks
    assert float(loads @ loads) == pytest.approx(float(logs.var(ddof=1)) / 3)
