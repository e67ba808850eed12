from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.score.estimate import Estimate, estimate, standard_error, why_unknown
from harness.score.limits import check_limits, probability
from harness.score.records import Measure
from harness.spec.policy import Limit, Policy

P99 = "latency_p99_ms"


def check(entry, policy):
    return check_limits(entry, {key: estimate(entry, key) for key in policy.limits}, policy)


def at_most(bound, **more):
    return Policy(limits={P99: Limit(max=bound)}, **more)


def test_probability_of_a_mean_is_students_t_on_logs(make):
    trials = [4.0, 4.4, 4.2, 4.9, 4.1]
    logs = np.log(trials)
    expected = stats.t.cdf((math.log(5) - logs.mean()) / (logs.std(ddof=1) / math.sqrt(5)), 4)
    found = estimate(make.entry("a", {P99: trials}), P99)
    assert probability(found, Limit(max=5)) == pytest.approx(expected)
    assert probability(found, Limit(min=5)) == pytest.approx(1 - expected)


def test_what_is_exact_is_certain(make):
    found = estimate(make.entry("a", exact={"artefact_mib": 3.0}), "artefact_mib")
    assert [probability(found, Limit(max=end)) for end in (2.9, 3.0, 3.1)] == [0.0, 1.0, 1.0]


def test_a_broken_limit_is_said_with_value_and_interval(make):
    entry = make.entry("a", {P99: [7.0, 7.1, 7.2, 7.1]})
    (reason,) = check(entry, at_most(5)).reasons
    assert (reason.code, reason.severity, reason.message) == (
        "limit_broken",
        "error",
        "p99 7.1 ms [6.97, 7.23] exceeds 5 ms",
    )
    assert (reason.data["metric"], reason.data["bound"]) == (P99, 5)


def test_a_limit_that_may_hold_is_an_open_question_of_the_dataset(make):
    """Standard error 0.00673 (Agresti and Coull): 1.645 of it fit into 0.004 with 7.7 times the rows."""
    entry = make.entry("a", correct=make.right(1000, range(46)))
    said = check(entry, Policy(limits={"accuracy": Limit(min=0.95)}))
    assert (said.reasons, said.probabilities["accuracy"]) == ((), pytest.approx(0.721, abs=0.005))
    (question,) = said.questions
    assert question.text == "accuracy 0.954 [0.941, 0.967] may be at least 0.95 or not (P = 0.72):"
    assert question.more.rows == pytest.approx(1000 * ((1.645 * 0.00673) / 0.004) ** 2 - 1000, rel=0.01)
    assert question.more.blocks is None, "requests do not help"


def test_a_limit_within_the_noise_of_blocks_needs_more_of_them(make):
    entry = make.entry("a", {P99: [4.5, 5.2, 4.7, 5.1]})
    (question,) = check(entry, at_most(5)).questions
    assert question.text.startswith("p99 4.87 ms [4.37, 5.42] may be at most 5 ms or not (P = 0.76)")
    logs = np.log([4.5, 5.2, 4.7, 5.1])
    n = 4 + question.more.blocks
    assert stats.t.ppf(0.95, n - 1) * logs.std(ddof=1) / math.sqrt(n) < math.log(5) - logs.mean()
    assert stats.t.ppf(0.95, n - 2) * logs.std(ddof=1) / math.sqrt(n - 1) > math.log(5) - logs.mean()
    assert question.more.requests == question.more.blocks * 5000


@pytest.mark.parametrize(
    ("trials", "bound", "found"),
    [([4.0, 4.1, 4.05, 4.1], 5, "kept"), ([7.0, 7.1, 7.2, 7.1], 5, "broken"), ([4.9, 5.2, 5.0, 5.1], 5, "open")],
)
def test_a_limit_is_kept_broken_or_open(make, trials, bound, found):
    said = check(make.entry("a", {P99: trials}), at_most(bound))
    assert (bool(said.reasons), bool(said.questions)) == (found == "broken", found == "open")
    p = said.probabilities[P99]
    assert found == ("kept" if p >= 0.95 else "broken" if p < 0.05 else "open")


def test_below_a_minimum(make):
    entry = make.entry("a", correct=make.right(1000, range(70)))
    (said,) = make.texts(check(entry, Policy(limits={"accuracy": Limit(min=0.95)})).reasons)
    assert said == "accuracy 0.93 [0.914, 0.946] is below 0.95"


def test_all_right_on_few_rows_is_not_certain(make):
    """Agresti and Coull: p̃ = 22/24 of 20 right rows, so the standard error is 0.0564, not 0."""
    policy = Policy(limits={"accuracy": Limit(min=0.95)})
    few, many = (make.entry("a", correct=make.right(n)) for n in (20, 500))
    assert standard_error(estimate(few, "accuracy")) == pytest.approx(math.sqrt(22 / 24 * 2 / 24 / 24), rel=1e-9)
    assert check(few, policy).questions[0].text.startswith("accuracy 1")
    assert (check(many, policy).reasons, check(many, policy).questions) == ((), ())


@pytest.mark.parametrize("value", [4.0, 6.0, 60.0])
def test_one_trial_proves_nothing(make, value):
    said = check(make.entry("a", {P99: [value]}), at_most(5))
    assert (said.probabilities, said.reasons) == ({}, ())
    (question,) = said.questions
    assert (question.text, question.bound, question.more.blocks) == (f"p99 (so far {value:g} ms)", 5, 1)


def test_two_trials_are_more_uncertain_than_they_look(make):
    entry = make.entry("a", {P99: [4.0, 4.4]})
    assert 0.8 < check(entry, at_most(5)).probabilities[P99] < 0.95


def pooled(value, low, high, n=400, trials=4, effective_n=250.0):
    return Measure(
        value=value, low=low, high=high, n=n, trials=trials, unit="ms", basis="pooled", effective_n=effective_n
    )


def test_a_tail_without_an_upper_end_is_a_question_and_says_what_answers_it(make):
    """Trials of 100 requests count for 100 (1.96 / t_{2k-1})²: 75 of 100 with k = 5, the first that makes 368."""
    entry = make.entry("a", metrics={P99: pooled(3.0, 2.5, None)}, loads={P99: (0.05, -0.05, 0.03, -0.03)})
    said = check(entry, at_most(5))
    (question,) = said.questions
    assert (said.reasons, said.probabilities, question.text) == ((), {}, "p99 (so far 3 ms)")
    assert (question.more.blocks, question.more.requests) == (1, 100)
    assert question.otherwise == "is not bounded yet"
    found = estimate(entry, P99)
    assert (found.certain, found.bounded, found.settled, found.df) == (True, False, False, 3.0)


def test_a_tail_without_an_upper_end_can_break_a_limit_but_not_keep_one(make):
    loads = {P99: (0.05, -0.05, 0.03, -0.03)}
    far, near, within = (
        check(make.entry("a", metrics={P99: pooled(value, value / 1.3, None)}, loads=loads), at_most(5))
        for value in (9.0, 5.1, 0.1)
    )
    assert make.codes(far.reasons) == ["limit_broken"]
    assert far.reasons[0].message == "p99 9 ms [6.92, ?] exceeds 5 ms"
    assert (near.reasons, len(near.questions)) == ((), 1)
    assert (within.reasons, len(within.questions)) == ((), 1)


def test_pooled_loads_are_the_noise(make):
    loads = (0.05, math.nan, -0.05, 0.02)
    found = estimate(make.entry("a", metrics={P99: pooled(3.0, 2.5, 3.6)}, loads={P99: loads}), P99)
    assert standard_error(found) == pytest.approx(math.sqrt(0.05**2 * 2 + 0.02**2))
    assert (found.df, found.ran.tolist(), found.log, found.settled) == (2.0, [True, False, True, True], True, True)


def test_missing_metrics_break_a_limit_unless_ignored(make):
    entry = make.entry("a")
    assert make.texts(check(entry, at_most(5)).reasons) == ("p99 is not known, and there is a limit on it",)
    ignored = check(entry, at_most(5, missing="ignore"))
    assert ignored.reasons == ()
    assert make.texts(ignored.remarks) == ("p99 is not known: its limit was not checked",)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_not_known(make, value):
    entry = make.entry("a", exact={"cost_per_million_usd": value})
    assert why_unknown(entry, "cost_per_million_usd") == "cost per million is not known"


def test_both_sides_count(make):
    found = estimate(make.entry("a", {P99: [1.0, 1.1, 0.9]}), P99)
    both = probability(found, Limit(min=0.9, max=1.1))
    assert both == pytest.approx(probability(found, Limit(min=0.9)) + probability(found, Limit(max=1.1)) - 1)


def test_an_interval_without_trials_still_counts(make):
    measure = Measure(value=4.0, low=3.0, high=5.0, n=5, trials=5, unit="", basis="between")
    found = estimate(make.entry("a", metrics={"output_agreement": measure}), "output_agreement")
    assert probability(found, Limit(max=5.0)) == pytest.approx(0.975)


def test_trials_that_agree_better_than_each_is_known_get_the_wider_interval(make):
    measure = Measure(value=4.0, low=4 / 1.2, high=4 * 1.2, n=5000, trials=5, unit="ms", basis="within")
    entry = make.entry("a", {P99: [4.0] * 5}, metrics={P99: measure})
    assert standard_error(estimate(entry, P99)) == pytest.approx(math.log(1.2) / 1.96)


@given(
    value=st.floats(0.01, 100),
    load=st.floats(0, 10),
    df=st.integers(1, 30),
    low=st.floats(0.0, 50),
    high=st.floats(50, 1000),
)
def test_probabilities_are_probabilities(value, load, df, low, high):
    found = Estimate(value, True, np.array([load, -load]), float(df))
    assert 0.0 <= probability(found, Limit(min=low, max=high)) <= 1.0
    assert probability(found, Limit(max=low)) <= probability(found, Limit(max=high)) + 1e-12
