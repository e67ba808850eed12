from __future__ import annotations

import numpy as np
import pytest

from harness.score.explain import explain
from harness.score.rank import rank
from harness.spec.policy import Limit, Objective, Policy

P50, P99, COST = "latency_p50_ms", "latency_p99_ms", "cost_per_million_usd"
STEADY = np.array([0.99, 1.01, 1.0, 1.02, 0.98])


def say(entries, policy, name):
    made = rank(entries, policy, suite="s", draws=2000)
    return explain(made, policy, next(row for row in made.rows if row.candidate == name))


@pytest.fixture
def field(make):
    def cell(name, p99, cost, **more):
        return make.entry(name, {P99: p99 * STEADY, COST: cost * STEADY}, correct=make.right(2000, range(30)), **more)

    return [cell("good", 1.0, 0.2), cell("cheap", 2.0, 0.06), cell("slow", 7.0, 0.1)]


def test_the_first_row(field, policy):
    lines = say(field, policy, "good")
    assert lines[0].startswith("good@cpu: place 1 of 2; score 0.746 [")
    assert "best score" in lines
    assert "limit p99 at most 5 ms: holds (P > 0.999), 1 ms [0.98, 1.02], kept by 4 ms (80 %)" in lines
    assert "accuracy 0.985 [0.98, 0.99]: utility 0.88; 1 would need 0.99" in lines
    assert any(line.startswith("first under ") and "of all weights, on average with" in line for line in lines)


def test_a_row_behind(field, policy):
    lines = say(field, policy, "cheap")
    assert "cost per million 0.06 USD [0.0588, 0.0612]: utility 0.95, +0.33 to good@cpu (0.2 USD)" in lines
    assert any(line.startswith("score -0.0") and line.endswith("to good@cpu: told apart") for line in lines)


def test_a_broken_limit_says_by_how_much(field, policy):
    lines = say(field, policy, "slow")
    assert lines[:2] == ["slow@cpu is not eligible", "p99 7 ms [6.86, 7.14] exceeds 5 ms"]
    assert "limit p99 at most 5 ms: broken (P < 0.001), 7 ms [6.86, 7.14], missed by 2 ms (40 %)" in lines


def test_a_failed_row_says_why(make, policy, field):
    entry = make.entry("big", status="failed", failure="oom", said={"failed": "ended by the memory limit"})
    assert say([*field, entry], policy, "big") == [
        "big@cpu is not ranked: failed",
        "ended by the memory limit",
    ]


def test_a_dropped_row_says_where_it_stood(make, fastest):
    entries = [
        make.entry("a", {P50: STEADY}),
        make.entry(
            "b",
            {P50: 2 * STEADY},
            status="dropped",
            said={"trial_shape": "by the way", "dropped": "behind", "disturbed": "3 %"},
            beaten_by="a@cpu",
        ),
    ]
    lines = say(entries, fastest, "b")
    assert lines[0].startswith("b@cpu: place 2 of 2, dropped; score ")
    assert lines[1:5] == ["behind", "dominated by a@cpu: slower", "by the way", "warning: 3 %"]


def test_a_tie_says_how_many_blocks_would_settle_it(make, fastest):
    one, two = [1.0, 1.1, 0.95, 1.0, 1.02], [1.08, 1.05, 1.12, 1.0, 1.07]
    entries = [make.entry("a", {P50: one}), make.entry("b", {P50: two})]
    row = rank(entries, fastest, suite="s", draws=500).rows[1]
    (line,) = (line for line in say(entries, fastest, "b") if "not told apart; about" in line)
    assert row.blocks_to_settle > 5
    assert line.endswith(f"about {row.blocks_to_settle - 5} more blocks would do it if the difference remains")


def test_a_tie_over_the_dataset_is_not_settled_by_blocks(make):
    policy = Policy(objectives={"accuracy": Objective(weight=1, target=1, limit=0.5)})
    entries = [
        make.entry("a", correct=make.right(90, [1])),
        make.entry("b", correct=make.right(90, [2, 3, 4])),
    ]
    assert say(entries, policy, "b")[-1].endswith("not told apart, and more blocks would not do it")


def test_within_the_margin(make, fastest):
    entries = [make.entry("a", exact={P50: 1.0}), make.entry("b", exact={P50: 1.01})]
    assert say(entries, fastest, "b")[-1].endswith("within the tie margin, 0.02 of the logarithm")


def test_one_trial(make, fastest):
    entries = [make.entry("a", {P50: [1.0]}), make.entry("b", {P50: [2.0]})]
    lines = say(entries, fastest, "b")
    assert lines[0].startswith("b@cpu: place 2 of 2, could be 1–2, undecided; score")
    assert "p50 (so far 2 ms) needs about 5,000 more requests" in lines
    assert lines[-1].endswith("its uncertainty is not known, because they share fewer than two blocks")


def test_an_undecided_limit_is_called_so(make):
    policy = Policy(limits={P99: Limit(max=5)}, objectives={P50: Objective(weight=1, target=0.1, limit=10)})
    noisy = {P50: STEADY[:4], P99: [4.5, 5.2, 4.7, 5.1]}
    lines = say([make.entry("a", noisy), make.entry("b", {P50: 3 * STEADY, P99: STEADY})], policy, "a")
    assert lines[0].startswith("a@cpu: place 1 of 2, could be 1–2, undecided; score")
    assert any(
        line.startswith("p99 4.87 ms [4.37, 5.42] may be at most 5 ms or not (P = 0.76): needs") for line in lines
    )
    assert any(line.startswith("limit p99 at most 5 ms: undecided (P = 0.76)") for line in lines)
    other = say([make.entry("a", noisy), make.entry("b", {P50: 3 * STEADY, P99: STEADY})], policy, "b")
    assert other[-1].endswith("not told apart, because a@cpu is undecided")


def test_what_is_not_known_is_said(make):
    scales = {key: Objective(weight=1, target=0.1, limit=10) for key in (P50, "load_ms")}
    policy = Policy(objectives=scales, limits={P99: Limit(max=1)}, missing="ignore")
    lines = say([make.entry("a", exact={P50: 1, "load_ms": 1}), make.entry("b", exact={P50: 2})], policy, "b")
    assert "load time: not known" in lines
    assert "p99 is not known: its limit was not checked" in lines
