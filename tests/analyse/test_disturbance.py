"""A row is flagged when its undisturbed slices tell another story, not when something disturbed the host."""

from __future__ import annotations

import numpy as np
import pytest

from harness.analyse.disturbance import disagrees, disturbance
from harness.analyse.reader import open_run
from harness.analyse.requests import undisturbed
from harness.pipeline.conclude import conclude
from harness.score.records import Measure
from harness.spec.policy import Limit, Objective, Policy
from harness.stats.pooled import PooledQuantile

from .handwritten import MS, run_folder, trial

P90 = "latency_p90_ms"
POLICY = Policy(limits={P90: Limit(max=100)}, objectives={P90: Objective(weight=1, target=0.1, limit=100)})
QUIET, DELAYED = 0, 20 * MS


def sliced(delays, kernel=60_000, first=0):
    """Slices of 100 ms, one after the other, of which a process waits `delay` to be run."""
    return [(first + i * 100 * MS, first + (i + 1) * 100 * MS - 1, 80 * MS, d, 0, kernel) for i, d in enumerate(delays)]


def latencies(slow):
    """Four groups of 100 requests of about 1 ms; in the groups `slow`, every fourth takes 1.9 ms."""
    rng = np.random.default_rng(3)
    base = 1.0 + 0.01 * rng.random(400)
    for place in slow:
        base[place * 100 : (place + 1) * 100 : 4] = 1.9
    return base


def flagged(run):
    reader = open_run(run)
    (entry,) = reader.entries(POLICY)
    return disturbance(entry, reader.trials("a@box"), POLICY)


def measured(base, slow, delays):
    run = run_folder(base, "a", policy=POLICY)
    for block in range(4):
        trial(run, "a", block, {"interactive": latencies(slow)}, sliced(delays), fresh=False)
    return run


def test_a_tail_that_only_the_disturbed_slices_have_flags_the_row(tmp_path):
    run = measured(tmp_path, slow=(1, 2), delays=(QUIET, DELAYED, DELAYED, QUIET))
    (said,) = flagged(run)
    assert (said.code, said.severity) == ("disturbed", "warning")
    assert said.data["value_all"] == pytest.approx(1.9)
    assert said.data["value_undisturbed"] == pytest.approx(1.0, abs=0.011)
    assert (said.data["metric"], said.data["share"]) == (P90, 0.5)
    assert said.message.startswith("p90 is 1.9 ms, 1.0")
    assert said.message.endswith(" ms without the 50 % of slices that the host disturbed")
    (row,) = conclude(run).ranking.rows
    assert [each.code for each in row.warnings if each.code == "disturbed"] == ["disturbed"]


def test_slices_that_were_disturbed_but_tell_the_same_do_not(tmp_path):
    (said,) = flagged(measured(tmp_path, slow=(), delays=(QUIET, DELAYED, DELAYED, QUIET)))
    assert (said.code, said.severity, said.data["share"]) == ("undisturbed", "info", 0.5)


def test_a_tail_of_the_models_own_is_not_the_hosts(tmp_path):
    (said,) = flagged(measured(tmp_path, slow=(0, 1, 2, 3), delays=(QUIET, DELAYED, DELAYED, QUIET)))
    assert (said.code, said.data["value_undisturbed"]) == ("undisturbed", said.data["value_all"])


def test_nothing_is_said_where_nothing_was_disturbed(tmp_path):
    assert flagged(measured(tmp_path, slow=(1,), delays=(QUIET,) * 4)) == []


def test_nothing_is_said_of_trials_that_have_no_slices(tmp_path):
    run = run_folder(tmp_path, "a", policy=POLICY)
    for block in range(2):
        trial(run, "a", block, {"interactive": latencies((1,))}, fresh=False)
    assert flagged(run) == []


def test_where_every_slice_was_disturbed_the_run_says_so_once_and_no_row_is_flagged(tmp_path):
    run = measured(tmp_path, slow=(), delays=(DELAYED,) * 4)
    assert flagged(run) == []
    (note,) = [each for each in conclude(run).ranking.notes if each.code == "host_noise"]
    assert (note.data["disturbed"], note.data["all_disturbed"], note.severity) == (1.0, ["a@box"], "info")
    assert note.message.startswith("the host: 100 % of slices were disturbed; every slice of a@box, so that nothing")


def test_a_slow_trial_is_seen_because_all_trials_are_judged_together(tmp_path):
    run = run_folder(tmp_path, "a", policy=POLICY)
    for block in range(4):
        kernel = 90_000 if block == 3 else 60_000
        trial(run, "a", block, {"interactive": latencies(())}, sliced((QUIET,) * 4, kernel), fresh=False)
    reader = open_run(run)
    found = undisturbed(reader.trials("a@box"), ["interactive"] * 4, [P90])
    assert found.share == 0.25
    assert found.percentiles[P90].loads[3] == 0.0


def test_requests_before_the_first_slice_and_between_slices_are_kept(tmp_path):
    """Slices cover [100, 200) and [300, 400) ms, both disturbed; a request every ms from 0 to 500."""
    run = run_folder(tmp_path, "a", policy=POLICY)
    rows = [(100 * MS, 200 * MS - 1, 80 * MS, DELAYED, 0, -1), (300 * MS, 400 * MS - 1, 80 * MS, DELAYED, 0, -1)]
    values = np.ones(500)
    values[100:200], values[300:400] = 7.0, 7.0
    for block in range(2):
        trial(run, "a", block, {"interactive": values}, rows, fresh=False)
    found = undisturbed(open_run(run).trials("a@box"), ["interactive"] * 2, ["latency_p99_9_ms"])
    assert (found.percentiles["latency_p99_9_ms"].value, found.share) == (1.0, 1.0)


@pytest.mark.parametrize("file", ["slices.npy", "requests/interactive/start.npy"])
def test_damaged_evidence_of_the_host_is_named_and_stops_nothing(tmp_path, file):
    run = measured(tmp_path, slow=(1,), delays=(QUIET, DELAYED, QUIET, QUIET))
    path = run / "cells" / "a@box" / "trial-02" / file
    path.write_bytes(b"\0" * path.stat().st_size)
    (said,) = flagged(run)
    assert (said.code, said.severity) == ("evidence_damaged", "warning")
    assert str(path) in said.message
    assert conclude(run).ranking.rows[0].status in ("measured", "undecided")


def quantile(value, low, high):
    return PooledQuantile(value, low, high, 100.0, np.zeros(3))


@pytest.mark.parametrize(
    ("all_slices", "quiet", "apart"),
    [
        ((2.0, 1.8, 2.2), (1.0, 0.9, 1.1), True),
        ((2.0, 1.8, 2.2), (1.9, 1.7, 2.1), False),  # each within the other's interval
        ((2.0, 1.9, 2.1), (1.8, 1.5, 2.2), True),  # the quiet value is outside the interval of all
        ((2.0, 1.0, 3.0), (1.8, 1.75, 1.85), True),  # the value of all is outside the quiet interval
        ((2.0, 1.999, 2.001), (1.99, 1.989, 1.991), False),  # apart, but by less than the margin of 2 %
        ((2.0, None, None), (1.0, -np.inf, np.inf), False),  # nothing is known of either
        ((2.0, 1.8, None), (1.0, -np.inf, np.inf), False),  # too few undisturbed requests to tell
        ((2.0, 1.8, None), (1.0, 0.8, 1.5), True),
        ((1.0, 0.9, 1.1), (2.0, 1.8, np.inf), True),  # the value of all is below what the undisturbed slices allow
    ],
)
def test_two_percentiles_disagree_beyond_margin_and_interval(all_slices, quiet, apart):
    value, low, high = all_slices
    measure = Measure(value=value, low=low, high=high, n=9, trials=3, unit="ms", basis="pooled")
    assert disagrees(measure, quantile(*quiet)) is apart
