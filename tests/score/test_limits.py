from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.score.assess import check_limits, probability
from harness.score.estimate import Estimate, estimate, standard_error, why_unknown
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


def test_a_limit_that_may_hold_is_said_with_its_probability(make):
    entry = make.entry("a", correct=make.right(1000, range(46)))
    said = check(entry, Policy(limits={"accuracy": Limit(min=0.95)}))
    assert make.texts(said.reasons) == ("accuracy 0.954 [0.941, 0.967] is not certainly at least 0.95 (P = 0.72)",)
    assert said.probabilities["accuracy"] == pytest.approx(0.721, abs=0.005)


def test_below_a_minimum(make):
    entry = make.entry("a", correct=make.right(1000, range(70)))
    (said,) = make.texts(check(entry, Policy(limits={"accuracy": Limit(min=0.95)})).reasons)
    assert said == "accuracy 0.93 [0.914, 0.946] is below 0.95"


def test_all_right_on_few_rows_is_not_certain(make):
    """Agresti and Coull: p̃ = 22/24 of 20 right rows, so the standard error is 0.0564, not 0."""
    policy = Policy(limits={"accuracy": Limit(min=0.95)})
    few, many = (make.entry("a", correct=make.right(n)) for n in (20, 500))
    assert standard_error(estimate(few, "accuracy")) == pytest.approx(math.sqrt(22 / 24 * 2 / 24 / 24), rel=1e-9)
    assert check(few, policy).reasons[0].message.startswith("accuracy 1")
    assert check(many, policy).reasons == ()


def test_one_trial_is_judged_by_its_value_without_a_probability(make):
    inside, outside = (make.entry("a", {P99: [value]}) for value in (4.0, 6.0))
    assert check(inside, at_most(5)).probabilities == {}
    assert check(inside, at_most(5)).reasons == ()
    assert make.texts(check(outside, at_most(5)).reasons) == ("p99 6 ms exceeds 5 ms",)


def test_two_trials_are_more_uncertain_than_they_look(make):
    entry = make.entry("a", {P99: [4.0, 4.4]})
    assert 0.8 < check(entry, at_most(5)).probabilities[P99] < 0.95


def test_a_tail_without_enough_samples_is_not_known(make):
    unbounded = Measure(value=3.0, low=2.5, high=None, n=500, trials=5, unit="ms", basis="within")
    entry = make.entry("a", metrics={P99: unbounded})
    assert why_unknown(entry, P99) == "p99 needs at least 368 samples in a trial (has 100)"
    assert make.texts(check(entry, at_most(5)).reasons) == (
        "p99 needs at least 368 samples in a trial (has 100), and there is a limit on it",
    )
    assert estimate(entry, P99) is None


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
