"""Open loops that some trials could not keep up with: what of their latency is known, and what limits make of it."""

from __future__ import annotations

import numpy as np
import pytest

from harness.analyse.reader import open_run
from harness.scenarios.server import Server
from harness.score.rank import rank
from harness.spec.policy import Limit, Objective, Policy

from .loaded import run_of

LOAD = Server(name="load", rate_per_s=200, arrivals="constant", seconds=2.0)
FAST, SLOW = {"latency_ms": 2.0, "sigma": 0.1}, {"latency_ms": 8.0}
P50, P90, P99 = "latency_p50_ms", "latency_p90_ms", "latency_p99_ms"


def measured(base, good, bad):
    """Return the entry of a row that kept up with its load in `good` trials, and then did not in `bad` ones."""
    run = run_of(base, [FAST] * good + [SLOW] * bad, [LOAD])
    (entry,) = open_run(run).entries(Policy())
    return entry


def ranked(entry, key, bound, **policy):
    objective = {key: Objective(weight=1, target=0.1, limit=1000)}
    (row,) = rank([entry], Policy(limits={key: Limit(max=bound)}, objectives=objective, **policy), suite="s").rows
    return row


def test_requests_of_a_saturated_trial_are_slower_than_any_bound(tmp_path):
    """Of five trials one kept no bound: p50 of all requests is p62.5 of those that were served in time."""
    entry, alone = measured(tmp_path / "some", 4, 1), measured(tmp_path / "all", 4, 0)
    assert entry.metrics[P50].value > alone.metrics[P50].high
    assert entry.metrics[P50].value == pytest.approx(2.0 * np.exp(0.1 * 0.319), rel=0.01)
    assert (entry.metrics[P50].n, entry.metrics[P50].trials) == (2000, 5)
    assert entry.metrics[P50].low < 2.0 and entry.metrics[P50].high is None
    assert P90 not in entry.metrics and P99 not in entry.metrics
    (said,) = [each for each in entry.diagnostics if each.code == "saturated"]
    assert said.message.endswith("in 1 of 5 trials")


def test_it_never_looks_better_than_the_trials_that_kept_up(tmp_path):
    entry, alone = measured(tmp_path / "some", 4, 1), measured(tmp_path / "all", 4, 0)
    row, other = ranked(entry, P50, 2.2), ranked(alone, P50, 2.2)
    assert other.eligible and other.status == "measured"
    assert (row.eligible, row.status, row.limits) == (False, "undecided", {})
    assert row.score < other.score and row.score_low == 0.0
    assert entry.trials[P50][4] > 10 * entry.trials[P50][0], "by block it is as slow as it was"


def test_more_good_trials_bring_the_median_back(tmp_path):
    entry = measured(tmp_path, 24, 1)
    assert entry.metrics[P50].high is not None and entry.metrics[P50].high < 2.2
    assert P99 not in entry.metrics, "one in 25 is more than one in a hundred"
    assert ranked(entry, P50, 1000.0).eligible


@pytest.mark.parametrize(
    ("good", "bad", "key", "broken"),
    [
        (4, 1, P99, False),  # once may be the host
        (3, 2, P99, True),  # twice in five is not once in a hundred
        (3, 2, P50, False),
        (2, 3, P50, False),
        (0, 2, P50, True),
        (0, 1, P50, False),
    ],
)
def test_a_limit_is_broken_where_too_many_trials_could_not_keep_up(tmp_path, good, bad, key, broken):
    entry = measured(tmp_path, good, bad)
    for missing in ("ineligible", "ignore"):
        row = ranked(entry, key, 1000.0, missing=missing)
        codes = {reason.code for reason in row.reasons if reason.severity == "error"}
        assert not row.eligible
        if key in entry.metrics:
            assert (row.status, codes) == ("undecided", set())
        else:
            assert row.place is None and ("limit_broken" if broken else "metric_unknown") in codes
