from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from harness.score.rank import rank
from harness.score.records import Measure, Ranking
from harness.score.words import name_of
from harness.spec.policy import Limit, Objective, Policy

P50, P99, COST = "latency_p50_ms", "latency_p99_ms", "cost_per_million_usd"
STEADY = np.array([0.99, 1.01, 1.0, 1.02, 0.98])


def decide(entries, policy, **more):
    made = rank(entries, policy, suite="s", **({"draws": 2000} | more))
    return made, {row.candidate: row for row in made.rows}


@pytest.fixture
def field(make):
    def cell(name, p99, cost, wrong, **more):
        return make.entry(
            name, {P99: p99 * STEADY, COST: cost * STEADY}, correct=make.right(2000, range(wrong)), **more
        )

    return [
        cell("good", 1.0, 0.2, 30),
        cell("poor", 1.5, 0.3, 30),
        cell("cheap", 3.0, 0.06, 40),
        cell("slow", 7.1, 0.1, 20),
        cell("wrong", 0.6, 0.1, 200),
        cell(
            "gone",
            4.0,
            0.9,
            30,
            status="dropped",
            said={"dropped": "left after block 5: 40 % behind good"},
            beaten_by="good@cpu",
        ),
        make.entry("big", status="failed", failure="oom", said={"failed": "ended by the memory limit while loading"}),
        make.entry("odd", status="skipped", said={"skipped": "no GPU here"}),
    ]


def tail(make, name, ms, high=True, **more):
    """A cell whose p99 has an upper end or not; 400 requests in four trials count as 300 of the 368 needed."""
    loads = (0.02, -0.02, 0.01, -0.01)
    measure = Measure(
        value=ms, low=ms / 1.1, high=ms * 1.1 if high else None, n=400, trials=4, unit="ms", basis="pooled",
        effective_n=400.0 if high else 300.0,
    )  # fmt: skip
    return make.entry(name, metrics={P99: measure} | more.pop("metrics", {}), loads={P99: loads}, **more)


def test_every_row_has_its_place_and_its_reasons(make, field, policy):
    made, rows = decide(field, policy)
    assert [row.candidate for row in made.rows] == [
        "good", "poor", "cheap", "gone", "slow", "wrong", "big", "odd",
    ]  # fmt: skip
    assert [row.place for row in made.rows] == [1, 2, 3, 4, None, None, None, None]
    assert make.texts(rows["good"].reasons) == ("best score",)
    assert make.texts(rows["poor"].reasons) == (
        "dominated by good@cpu: slower and more expensive, no better in accuracy",
    )
    assert make.texts(rows["cheap"].reasons) == ("behind good@cpu, mostly in p99",)
    assert make.texts(rows["wrong"].reasons) == ("accuracy 0.9 [0.887, 0.913] is below 0.95",)
    assert make.texts(rows["slow"].reasons) == ("p99 7.1 ms [6.96, 7.24] exceeds 5 ms",)
    assert rows["gone"].reasons[0].message == "left after block 5: 40 % behind good"
    assert make.texts(rows["big"].reasons) == ("ended by the memory limit while loading",)
    assert make.texts(rows["odd"].reasons) == ("no GPU here",)


def test_what_is_not_ranked_has_no_rank_chance_or_front(field, policy):
    _, rows = decide(field, policy)
    for name in ("wrong", "slow", "big", "odd"):
        row = rows[name]
        assert not row.eligible and not row.pareto and not row.may_be_best
        assert (row.place, row.rank_low, row.rank_high, row.p_best, row.acceptability) == (None,) * 5
    assert rows["slow"].metrics and rows["slow"].score is not None
    assert rows["big"].score is None


def test_what_a_race_decided_stands(make, policy):
    """Two rows that five blocks cannot tell apart here, but the race has."""
    noisy = np.array([1.0, 1.3, 0.8, 1.1, 0.95])
    entries = [
        make.entry("a", {P99: noisy, COST: noisy * 0.2}, correct=make.right(2000, range(30))),
        make.entry("b", {P99: noisy[::-1] * 1.02, COST: noisy[::-1] * 0.2}, correct=make.right(2000, range(30))),
    ]
    tied = rank(entries, policy, suite="s", draws=200)
    assert [row.may_be_best for row in tied.rows] == [True, True]
    loser, winner = tied.rows[0].candidate, tied.rows[1].candidate
    told = [
        msgspec.structs.replace(e, status="dropped", beaten_by=f"{winner}@cpu") if e.candidate == loser else e
        for e in entries
    ]
    made = rank(told, policy, suite="s", draws=200)
    assert [(row.candidate, row.place, row.rank_low, row.rank_high) for row in made.rows] == [
        (winner, 1, 1, 1),
        (loser, 2, 2, 2),
    ]


def test_a_race_does_not_decide_what_the_dataset_leaves_open(make, policy):
    """Trials tell the two apart, but one of them is right on three rows more of 300: that may be luck."""
    entries = [
        make.entry("a", {P99: STEADY, COST: 0.2 * STEADY}, correct=make.right(300, range(3))),
        make.entry(
            "b",
            {P99: 1.001 * STEADY, COST: 0.2 * STEADY},
            correct=make.right(300, range(3, 9)),
            status="dropped",
            said={"dropped": "left after block 5"},
            beaten_by="a@cpu",
        ),
    ]
    made = rank(entries, policy, suite="s", draws=500)
    assert [(row.candidate, row.rank_low, row.rank_high) for row in made.rows] == [("a", 1, 2), ("b", 1, 2)]
    assert any(
        text == "only a larger dataset (300 rows) could tell it from a@cpu" for text in make.texts(made.rows[1].reasons)
    )


def test_the_winner_in_numbers(field, policy):
    _, rows = decide(field, policy)
    good = rows["good"]
    logs = math.log(5 / 0.5), math.log(2 / 0.05)
    value = np.exp(np.log(STEADY).mean())
    parts = math.log(5 / value) / logs[0], math.log(2 / (0.2 * value)) / logs[1], (0.985 - 0.95) / 0.04
    assert good.score == pytest.approx((3 * parts[0] + 2 * parts[1] + 3 * parts[2]) / 8)
    assert list(good.utilities.values()) == pytest.approx(parts)
    assert good.score_low < good.score < good.score_high
    assert good.limits[P99] == pytest.approx(1.0)
    assert good.p_best == 1.0 and good.pareto and good.blocks == 5
    assert (good.gap, good.gap_low, good.gap_high) == (None, None, None)
    assert rows["cheap"].gap_high < 0


def test_the_notes_name_the_winner_robust_or_not(make, field, policy):
    made, rows = decide(field, policy)
    share = rows["good"].acceptability[0]
    assert 0 < share < 0.8
    assert make.codes(made.notes) == ["weights_matter"]
    assert make.texts(made.notes) == (
        f"good@cpu is first under {share:.0%}".replace("%", " %")
        + f" of all weights, cheap@cpu under {rows['cheap'].acceptability[0]:.0%}: weights matter".replace("%", " %"),
    )


def test_a_winner_with_warnings_is_named(make, fastest):
    entries = [
        make.entry("a", {P50: 1.0 * STEADY}, said={"disturbed": "steal 3 %"}),
        make.entry("b", {P50: 2.0 * STEADY}, said={"not_steady": "not steady"}),
    ]
    made, rows = decide(entries, fastest)
    assert make.texts(made.notes) == ("a@cpu may be the best and has warnings: steal 3 %",)
    assert make.texts(rows["a"].reasons) == ("best score", "steal 3 %")
    assert make.texts(rows["b"].reasons) == ("dominated by a@cpu: slower", "not steady")
    assert make.codes(rows["b"].warnings) == ["not_steady"]
    assert (made.notes[0].code, made.notes[0].data) == ("winner_flagged", {"codes": ["disturbed"]})


def test_no_row_is_eligible(make):
    made, _ = decide(
        [make.entry("a", {P50: 3 * STEADY}), make.entry("b", status="skipped")],
        Policy(limits={P50: Limit(max=1)}, objectives={P50: Objective(weight=1, target=0.1, limit=10)}),
    )
    assert make.texts(made.notes) == ("no row is eligible: 1 breaks a limit or lacks a metric, 1 skipped",)
    assert make.texts(decide([], Policy())[0].notes) == ("no row is eligible",)


def test_rows_that_cannot_be_told_apart_could_have_each_others_ranks(make, fastest):
    rng = np.random.default_rng(2)
    entries = [make.entry(n, {P50: ms * np.exp(rng.normal(0, 0.05, 5))}) for n, ms in (("a", 1), ("b", 1), ("c", 3))]
    made, rows = decide(entries, fastest)
    first, second = made.rows[0].candidate, made.rows[1].candidate
    assert [
        (rows[n].place, rows[n].rank_low, rows[n].rank_high, rows[n].may_be_best) for n in (first, second, "c")
    ] == [
        (1, 1, 2, True),
        (2, 1, 2, True),
        (3, 3, 3, False),
    ]
    assert make.texts(rows[first].reasons) == ("best score", f"not told apart from {second}@cpu")
    said = f"2 rows may be the best: {first}@cpu and {second}@cpu; their order is that of the scores"
    assert made.notes[0].message == said


def test_within_two_per_cent_is_not_told_apart_however_sure(make, fastest):
    rows = decide([make.entry(n, exact={P50: ms}) for n, ms in (("a", 1.0), ("b", 1.015), ("c", 1.03))], fastest)[1]
    assert [(rows[n].rank_low, rows[n].rank_high) for n in "abc"] == [(1, 2), (1, 3), (2, 3)]


def test_good_enough_is_good_enough(make, fastest):
    """Both beyond the target: utility 1 and 1, not told apart, equal chances, though one is twice as fast."""
    rows = decide([make.entry(n, {P50: ms * STEADY}) for n, ms in (("a", 0.02), ("b", 0.04))], fastest)[1]
    assert (rows["a"].may_be_best, rows["b"].may_be_best) == (True, True)
    assert (rows["a"].p_best, rows["b"].p_best) == (0.5, 0.5)


def test_the_same_data_twice_are_a_fair_coin(make, fastest):
    rows = decide([make.entry(n, {P50: STEADY}) for n in "ab"], fastest)[1]
    assert (rows["a"].p_best, rows["b"].p_best) == (0.5, 0.5)


def test_a_missing_objective_is_a_reason_against(make, policy):
    entry = make.entry("a", {P99: STEADY}, correct=make.right(2000, range(20)))
    _, rows = decide([entry], policy)
    assert not rows["a"].eligible
    assert make.texts(rows["a"].reasons) == ("cost per million is not known",)
    assert rows["a"].score is None


def test_each_missing_metric_is_said_once(make, policy):
    _, rows = decide([make.entry("a", {COST: STEADY}, correct=make.right(2000))], policy)
    assert make.texts(rows["a"].reasons) == ("p99 is not known, and there is a limit on it",)


@pytest.fixture
def lenient():
    scales = {key: Objective(weight=1, target=0.1, limit=10) for key in (P50, "load_ms")}
    return Policy(objectives=scales, missing="ignore")


def test_not_knowing_never_pays_where_it_is_ignored(make, lenient):
    """`b` has the better latency and hides a bad load time; it must not beat `a` for that."""
    entries = [make.entry("a", exact={P50: 1.0, "load_ms": 1.0}), make.entry("b", exact={P50: 0.9})]
    made, rows = decide(entries, lenient)
    assert [row.candidate for row in made.rows] == ["a", "b"]
    assert rows["b"].eligible
    assert "load time is not known: counted as utility 0" in make.texts(rows["b"].reasons)


def test_what_no_row_knows_is_left_out_for_all(make, lenient):
    made, rows = decide([make.entry("a", exact={P50: 1.0})], lenient)
    assert rows["a"].score == pytest.approx(0.5)
    assert make.texts(made.notes) == ("load time is known for no row: left out of the score",)


def test_a_row_that_knows_nothing_is_not_eligible(make, lenient):
    _, rows = decide([make.entry("a", exact={P50: 1.0, "load_ms": 1.0}), make.entry("b")], lenient)
    assert make.texts(rows["b"].reasons) == ("no objective is known",)


def test_weights_are_not_called_robust_while_a_row_that_may_be_best_is_not_counted(make, field, policy):
    few = tail(make, "few", 1.01, high=False, correct=make.right(2000, range(30)), trials={COST: 0.2 * STEADY})
    assert "weights_matter" in make.codes(decide(field, policy)[0].notes)
    assert not {"weights_matter", "weights_robust"} & set(make.codes(decide([*field, few], policy)[0].notes))


def test_a_dropped_row_comes_below_the_one_that_beat_it_whatever_its_score(make, fastest):
    entries = [
        make.entry("a", {P50: 1.0 * STEADY}),
        make.entry("b", {P50: 2.0 * STEADY}),
        make.entry("c", {P50: 1.5 * np.array([3.0, 0.3, 1.0, 2.0, 0.5])}, status="dropped", beaten_by="b@cpu"),
    ]
    made, rows = decide(entries, fastest)
    assert [(row.candidate, row.place) for row in made.rows] == [("a", 1), ("b", 2), ("c", 3)]
    assert (rows["c"].rank_low, rows["c"].rank_high) == (3, 3), "who is better than b is better than c"


def test_limits_without_objectives_leave_a_tie(make):
    made, rows = decide(
        [make.entry("a", exact={P50: 1.0}), make.entry("b", exact={P50: 3.0})],
        Policy(limits={P50: Limit(max=2)}),
    )
    assert (rows["a"].eligible, rows["a"].place, rows["a"].score) == (True, 1, None)
    assert not rows["b"].eligible
    assert make.codes(made.notes) == ["no_ranking"] and "no objective that is known" in made.notes[0].message


def test_a_lone_row_is_first(make, fastest):
    made, rows = decide([make.entry("a", {P50: STEADY})], fastest)
    assert (rows["a"].rank_low, rows["a"].rank_high, rows["a"].may_be_best, rows["a"].p_best) == (1, 1, True, 1.0)
    assert made.notes == ()


def test_names_are_candidate_and_target(make, fastest):
    made, _ = decide([make.entry("a", {P50: STEADY}, target=t) for t in ("x", "b")], fastest)
    assert [name_of(row) for row in made.rows] == ["a@b", "a@x"]


def test_an_objective_without_weight_is_shown_but_does_not_count(make):
    scale = {"target": 0.1, "limit": 10.0}
    policy = Policy(objectives={P50: Objective(weight=1, **scale), "load_ms": Objective(weight=0, **scale)})
    _, rows = decide([make.entry("a", exact={P50: 1.0, "load_ms": 0.1})], policy)
    assert rows["a"].score == pytest.approx(0.5)
    assert rows["a"].utilities["load_ms"] == 1.0


def test_a_ranking_survives_json(field, policy):
    made, _ = decide(field, policy)
    assert msgspec.json.decode(msgspec.json.encode(made, enc_hook=float), type=Ranking) == made
