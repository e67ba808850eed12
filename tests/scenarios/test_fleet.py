"""The table of users: what is missing or does not fit is one message with its key."""

from __future__ import annotations

import pytest

from harness.scenarios.fleet import KIND, Users
from harness.spec.scenario import kind_of

BURST = {"burst_per_s": 2.0, "burst_s": 60.0, "calm_s": 600.0}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "rate_per_s: missing; give requests per second, or a 'trace'"),
        ({"rate_per_s": 1.0, "trace": "t.csv"}, "rate_per_s: a trace has its own; leave out one of them"),
        ({"rate_per_s": 1.0, **BURST}, 'burst_per_s: is of arrivals = "bursty"'),
        ({"trace": "t.csv", "burst_s": 1.0}, 'burst_s: is of arrivals = "bursty"'),
        ({"rate_per_s": 1.0, "arrivals": "bursty", "burst_s": 1.0}, "burst_per_s: missing; bursty arrivals have"),
        ({"at_s": (1.0,)}, "at_s: needs two arrivals at least"),
        ({"at_s": (2.0, 1.0)}, "at_s: needs two arrivals at least, sorted"),
    ],
)
def test_what_is_wrong_beyond_types(table, said):
    assert Users(**table).problems().startswith(said)


@pytest.mark.parametrize(
    "table",
    [{"rate_per_s": 1.0}, {"rate_per_s": 1.0, "arrivals": "bursty", **BURST}, {"trace": "t.csv"}, {"at_s": (0.0, 1.0)}],
)
def test_what_is_right(table):
    assert Users(**table).problems() is None


def test_no_trial_runs_it_and_none_says_anything_of_it():
    assert not Users.in_trials and kind_of(Users(rate_per_s=1.0)) == "fleet"
    assert not any(KIND.metrics(Users(rate_per_s=1.0), []))
