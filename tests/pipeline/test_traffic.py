"""Open loops through the whole pipeline, on simulated time: sizes, percentiles, and rows that cannot serve the load."""

from __future__ import annotations

import re

import msgspec
import numpy as np
import pytest

from harness.evidence.folder import read_job
from harness.evidence.run import read_race, trial_folder
from harness.pipeline.conclude import conclude
from harness.spec.policy import Limit
from harness.stats.queueing import mean_wait_md1

from .scripted import row, run

LOAD = '[[scenario]]\nname = "load"\nkind = "server"\nrate_per_s = 500\nseconds = {seconds}\n'
P99 = "latency_p99_ms = { weight = 1, target = 0.01, limit = 1000 }\n"
EVEN = "process_spread = 0.01\n"


@pytest.fixture
def ranked(suite):
    """A model that serves 500 requests/s with ease, one at a utilisation of 0.7, and one that cannot."""
    cells = {"easy": 0.2, "busy": 1.4, "slow": 4.0}
    return run(*suite(cells, scenarios=LOAD, seconds=4.0, objectives=P99, common=EVEN))


def test_latency_under_load_is_that_of_a_queue(ranked) -> None:
    busy = row(ranked, "busy").metrics
    assert busy["latency_mean_ms"].value - 1.4 == pytest.approx(mean_wait_md1(0.7, 1.4), rel=0.2)
    assert busy["utilisation"].value == pytest.approx(0.7, rel=0.05)
    assert busy["offered_per_s"].value == pytest.approx(500, rel=0.05)
    assert busy["lindley_error_p99_ms"].value == 0.0
    easy = row(ranked, "easy")
    assert easy.place == 1 and easy.eligible
    assert easy.metrics["latency_p99_ms"].low < easy.metrics["latency_p99_ms"].value < busy["latency_p99_ms"].low


def test_a_row_that_cannot_serve_the_load_is_not_eligible_and_leaves_the_race(ranked) -> None:
    slow = row(ranked, "slow")
    assert (slow.status, slow.place, slow.eligible) == ("dropped", None, False)
    assert not [key for key in slow.metrics if key.startswith("latency_")]
    assert slow.metrics["throughput_per_s"].value == pytest.approx(250, rel=0.05)
    broken = [reason for reason in slow.reasons if reason.severity == "error"]
    assert [each.code for each in broken] == ["limit_broken"]
    assert re.match(r"p99 has no bound: saturated: 500 requests/s were offered, 2\d\d/s were served", broken[0].message)
    (warning,) = slow.warnings
    assert warning.code == "saturated" and warning.message.endswith("in 3 of 3 trials")
    (drop,) = [each for each in read_race(ranked.folder).drops if each.cell == "slow@anywhere"]
    assert drop.block == 3 and "p99 has no bound: saturated" in drop.why


def test_a_policy_that_ignores_what_is_missing_does_not_ignore_that(ranked) -> None:
    """Its latency is not missing: it is without bound."""
    policy = msgspec.structs.replace(ranked.policy, missing="ignore")
    slow = row(conclude(ranked.folder, policy), "slow")
    assert not slow.eligible and "limit_broken" in {x.code for x in slow.reasons}


def test_windows_are_as_long_as_the_percentile_needs_at_the_rate(suite) -> None:
    """At 20 requests/s a window of a second has 20; p99 of five trials needs some hundred in each."""
    sparse = LOAD.replace("500", "20")
    folder, record = suite({"m": 0.5}, scenarios=sparse, seconds=1.0, objectives=P99, common=EVEN)
    ranked = run(folder, record)
    seconds = [read_job(trial_folder(folder, "m@anywhere", block)).scenarios[0].seconds for block in range(3)]
    assert min(seconds) > 5
    assert row(ranked, "m").metrics["latency_p99_ms"].high is not None
    assert row(ranked, "m").status == "measured"


def test_another_scenario_first_keeps_its_turns(suite) -> None:
    both = '[[scenario]]\nname = "one"\nkind = "single_stream"\nseconds = {seconds}\n' + LOAD.format(seconds=2.0)
    load99 = "'load.latency_p99_ms' = { weight = 1, target = 0.01, limit = 1000 }\n"
    folder, record = suite({"a": 0.5, "b": 0.7}, scenarios=both, seconds=0.5, objectives=load99, common=EVEN)
    ranked = run(folder, record)
    a, b = (row(ranked, name) for name in "ab")
    assert a.place == 1 and a.metrics["load.latency_p99_ms"].value < b.metrics["load.latency_p99_ms"].value
    assert a.metrics["latency_p99_ms"].value < a.metrics["load.latency_p99_ms"].value


def test_rows_that_get_loads_of_their_own_are_said_to(suite) -> None:
    share = '[[scenario]]\nname = "load"\nkind = "server"\nutilisation = 0.6\nseconds = {seconds}\n'
    ranked = run(*suite({"a": 0.5, "b": 2.0}, scenarios=share, seconds=2.0, objectives=P99, common=EVEN))
    assert "rate_by_share" in {note.code for note in ranked.ranking.notes}
    rates = [row(ranked, name).metrics["offered_per_s"].value for name in "ab"]
    assert rates == pytest.approx([1200, 300], rel=0.1)


def test_a_trace_longer_than_its_windows_is_replayed_in_part(suite, tmp_path) -> None:
    (tmp_path / "calls.csv").write_text("t\n" + "\n".join(f"{i / 100}" for i in range(3000)) + "\n")
    load = '[[scenario]]\nname = "load"\nkind = "server"\ntrace = "calls.csv"\nseconds = {seconds}\n'
    ranked = run(*suite({"m": 1.0}, scenarios=load, seconds=2.0, objectives=P99, common=EVEN))
    (note,) = [note for note in ranked.ranking.notes if note.code == "trace_in_part"]
    assert note.data["seconds"] == pytest.approx(30.0)
    assert row(ranked, "m").metrics["offered_per_s"].value == pytest.approx(100, rel=0.02)
    assert np.isfinite(row(ranked, "m").metrics["latency_p99_ms"].value)


def test_a_limit_can_be_on_another_scenario(suite) -> None:
    both = '[[scenario]]\nname = "one"\nkind = "single_stream"\nseconds = {seconds}\n' + LOAD.format(seconds=1.0)
    folder, record = suite({"a": 0.5, "b": 4.0}, scenarios=both, seconds=0.5, common=EVEN)
    limits = {"load.latency_p99_ms": Limit(max=50.0)}
    policy = msgspec.structs.replace(record.suite.policy, limits=limits)
    ranked = conclude(run(folder, record).folder, policy)
    b = row(ranked, "b")
    assert not b.eligible and b.place is None
    (reason,) = [x for x in b.reasons if x.severity == "error"]
    assert reason.data["metric"] == "load.latency_p99_ms" and "has no bound: saturated" in reason.message
