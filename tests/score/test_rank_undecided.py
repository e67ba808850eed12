"""Rows that the evidence cannot judge yet: open tails, trials that differ, one trial; what would settle them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.score.records import Measure
from harness.spec.policy import Limit, Objective, Policy

from .test_rank import P50, P99, STEADY, decide, tail

TAIL = Policy(objectives={P99: Objective(weight=1, target=0.5, limit=5)})
TWO = Policy(objectives={key: Objective(weight=w, target=0.1, limit=10) for key, w in ((P50, 3), (P99, 1))})


def test_a_row_whose_tail_is_open_keeps_its_place_and_may_be_the_last(make):
    entries = [tail(make, "a", 1.0, high=False), tail(make, "b", 2.0), tail(make, "c", 3.0, high=False)]
    made, rows = decide(entries, TAIL)
    assert [(row.candidate, row.status, row.eligible, row.place) for row in made.rows] == [
        ("a", "undecided", True, 1),
        ("b", "measured", True, 2),
        ("c", "undecided", True, 3),
    ]
    assert [(row.rank_low, row.rank_high) for row in made.rows] == [(1, 3), (1, 2), (2, 3)], "b is better than c"
    assert rows["a"].score == pytest.approx(math.log(5) / math.log(10)), "by the point estimate"
    assert (rows["a"].score_low, rows["a"].p_best) == (0.0, None)
    assert (rows["b"].p_best, rows["b"].acceptability) == (None, None), "1 if a is worse than it looks, else 0"


@pytest.mark.parametrize(("level", "known"), [(1.0, False), (1.98, False), (3.0, True), (6.0, True)])
def test_p_best_is_known_where_no_row_of_unknown_uncertainty_could_change_it(make, level, known):
    """Of "a", the upper end of p99 is not known: it is as good as it was measured at best."""
    entries = [tail(make, "a", level, high=False), tail(make, "b", 2.0), tail(make, "c", 2.5)]
    _, rows = decide(entries, TAIL)
    assert rows["a"].p_best is None
    assert (rows["b"].p_best is not None, rows["b"].acceptability is not None) == (known, known)
    if known:
        assert rows["b"].p_best > 0.9 and len(rows["b"].acceptability) == 3
        assert rows["b"].p_best + rows["c"].p_best == pytest.approx(1.0, abs=0.02)


def test_an_open_end_costs_no_more_than_the_objective_it_belongs_to(make):
    """Without its p99 (weight 1 of 4) `a` still scores more than `c`, and `b` more than `a`'s worst."""
    fast = {"metrics": {P50: make.between(P50, 0.2 * STEADY)}, "trials": {P50: 0.2 * STEADY}}
    slow = {"metrics": {P50: make.between(P50, 5 * STEADY)}, "trials": {P50: 5 * STEADY}}
    entries = [
        tail(make, "a", 1.0, high=False, **fast),
        tail(make, "b", 1.5, **fast),
        tail(make, "c", 6.0, **slow),
    ]
    made, _ = decide(entries, TWO)
    assert [(row.candidate, row.rank_low, row.rank_high) for row in made.rows] == [
        ("a", 1, 2),
        ("b", 1, 2),
        ("c", 3, 3),
    ]


def differing(make, name, ms, drift, **more):
    """A cell with requests enough, whose trials differ so much that p99 has no upper end."""
    trials = ms * np.exp(drift)
    measure = Measure(
        value=ms, low=ms / 1.1, high=None, n=8000, trials=len(drift), unit="ms", basis="pooled", effective_n=90.0
    )
    return make.entry(name, {P99: trials}, metrics={P99: measure}, loads={P99: tuple(0.01 * drift)}, **more)


def test_trials_that_differ_alike_are_told_apart_within_blocks_without_an_upper_end(make):
    """Both rows drift by 20 % together; one takes 10 % longer in every block."""
    drift = np.array([0.2, -0.2, 0.1, -0.1, 0.0])
    noise = np.array([0.01, -0.01, 0.005, 0.0, -0.005])
    made, rows = decide([differing(make, "a", 1.0, drift), differing(make, "b", 1.1, drift + noise)], TAIL)
    assert [(row.candidate, row.status, row.rank_low, row.rank_high) for row in made.rows] == [
        ("a", "measured", 1, 1),
        ("b", "measured", 2, 2),
    ]
    (said,) = (reason for reason in rows["a"].reasons if reason.code == "no_upper_end")
    assert said.message.startswith("p99 has no upper end, because trials differ: about ")
    assert said.data["more_requests"] > 8000 and rows["a"].p_best == pytest.approx(1.0, abs=0.01)


def test_a_limit_far_above_trials_that_differ_is_kept(make):
    drift = np.array([0.2, -0.2, 0.1, -0.1, 0.0])
    policy = Policy(limits={P99: Limit(max=5)}, objectives=TAIL.objectives)
    _, rows = decide([differing(make, "far", 1.0, drift), differing(make, "near", 4.5, drift)], policy)
    assert (rows["far"].status, rows["far"].eligible) == ("measured", True)
    assert rows["near"].status == "undecided"


def test_an_undecided_row_says_what_would_settle_it_in_requests_and_minutes(make):
    """One more block: of all rows still in the race, 100 requests each at 0.3 s and 0.6 s."""
    entries = [
        tail(make, "a", 1.0, high=False, request_s=0.3),
        tail(make, "b", 2.0, request_s=0.6),
        tail(make, "c", 9.0, request_s=5.0, status="dropped", beaten_by="a@cpu"),
    ]
    made, rows = decide(entries, TAIL)
    (said,) = (reason for reason in rows["a"].reasons if reason.code == "undecided")
    assert said.message == "p99 (so far 1 ms) needs about 100 more requests, 90 s"
    assert {key: said.data[key] for key in ("more_requests", "more_blocks", "minutes", "metric")} == {
        "more_requests": 100,
        "more_blocks": 1,
        "minutes": pytest.approx(1.5),
        "metric": P99,
    }
    assert "1 of 3 rows is undecided; about 1 more block, 90 s, should settle it" in make.texts(made.notes)


def test_a_row_with_one_trial_of_one_metric_is_told_apart_from_nobody(make):
    entries = [
        make.entry("a", {P50: STEADY, P99: [1.0]}),
        make.entry("b", {P50: 8 * STEADY, P99: 8 * STEADY}),
    ]
    made, rows = decide(entries, TWO)
    assert [(row.rank_low, row.rank_high) for row in made.rows] == [(1, 2), (1, 2)]
    assert rows["a"].status == "undecided"


def test_one_trial_is_ranked_by_its_value_and_certain_of_nothing(make, fastest):
    made, rows = decide(
        [
            make.entry("a", {P50: [1.0]}),
            make.entry("b", {P50: 2 * STEADY}),
            make.entry("c", {P50: 4 * STEADY}),
        ],
        fastest,
    )
    lone = rows["a"]
    assert made.rows[0] is lone
    assert (lone.rank_low, lone.rank_high) == (1, 3)
    assert (lone.p_best, lone.score_low, lone.acceptability, lone.gap_low) == (None,) * 4
    assert (lone.status, lone.eligible) == ("undecided", True)
    assert lone.reasons[0].message == "p50 (so far 1 ms) needs about 5,000 more requests"
    assert (rows["b"].p_best, rows["c"].p_best) == (None, 0.0), "c is behind b, whatever a is"
    assert make.texts(made.notes)[1:] == (
        "1 of 3 rows is undecided; about 1 more block should settle it",
        "no P(best) where it depends on an uncertainty that is not known: a@cpu and b@cpu",
    )


def test_a_row_that_may_break_a_limit_may_be_best_but_beats_nobody(make):
    """Within its limit with P = 0.7: a draw in three puts it last."""
    policy = Policy(limits={P99: Limit(max=5)}, objectives={P50: Objective(weight=1, target=0.1, limit=10)})
    noisy = {P99: [4.5, 5.2, 4.7, 5.1]}
    entries = [
        make.entry("a", {P50: STEADY[:4]} | noisy),
        make.entry("b", {P50: 3 * STEADY[:4], P99: 4 * STEADY[:4]}),
    ]
    made, rows = decide(entries, policy)
    a, b = rows["a"], rows["b"]
    assert (a.status, a.eligible, a.place, a.rank_low, a.rank_high) == ("undecided", False, 1, 1, 2)
    assert (b.status, b.eligible, b.rank_low, b.rank_high) == ("measured", True, 1, 2)
    assert a.p_best == pytest.approx(a.limits[P99], abs=0.03)
    assert a.p_best + b.p_best == pytest.approx(1.0)
    assert make.codes(made.notes)[:2] == ["tie_at_top", "rows_undecided"]
