"""Replicas, cost at a capacity, and the error of predictions, from evidence of scripted models."""

from __future__ import annotations

import numpy as np
import pytest

from harness.analyse.capacity import Load, fleets
from harness.analyse.foretold import foretold
from harness.analyse.reader import open_run
from harness.analyse.service import closed_loop, open_loops, service_under_load
from harness.cost.hourly import HOURS_PER_MONTH
from harness.scenarios.capacity import Capacity
from harness.scenarios.server import Server
from harness.scenarios.single_stream import SingleStream
from harness.spec.policy import Limit, Policy
from harness.stats import replicas

from .handwritten import cold, run_folder, trial
from .loaded import run_of

SINGLE = SingleStream(name="interactive", seconds=1.0)
BUSY = Server(name="load", utilisation=0.6, seconds=20.0)
PEAK = Capacity(name="peak", percentile="p90", limit_ms=4.0, seconds=25.0)
COST = "cost_per_million_usd"
SPREAD = {"latency_ms": 1.0, "sigma": 0.3}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(replicas, "SIMULATED", 60_000)
    monkeypatch.setattr(replicas, "FEWEST", 20_000)


def of_constant(base, ms=1.0, **how):
    """Write a run whose requests all take the same time, in three processes that differ by 1 %."""
    run = run_folder(base, "a", **how)
    for block in range(3):
        trial(run, "a", block, {"interactive": [ms * 1.01**block] * 500}, fresh=False)
    return open_run(run)


def test_replicas_of_equal_service_times_follow_from_the_queue(tmp_path):
    """M/D/1: p99 is 5 service times at rho = 0.56, so that 1,000/s of 1.01 ms need 1.8 replicas."""
    (fleet,) = fleets(of_constant(tmp_path), Load(1000.0, "latency_p99_ms", 5.0))
    assert (fleet.replicas, fleet.low, fleet.high) == (2, 2, 2)
    assert fleet.latency_ms.value <= 5.0
    assert fleet.utilisation == pytest.approx(1000 * 1.01e-3 / 2, rel=0.01)
    assert fleet.usd_per_month == pytest.approx(2 * 0.36 * HOURS_PER_MONTH)
    assert (fleet.scenario, fleet.requests, fleet.trials) == ("interactive", 1500, 3)


def test_one_queue_for_all_needs_no_more(tmp_path):
    reader, load = of_constant(tmp_path), Load(20_000.0, "latency_p99_ms", 4.0)
    (apart,), (shared,) = fleets(reader, load), fleets(reader, load._replace(dispatch="shared"))
    assert shared.replicas < apart.replicas


def test_a_limit_below_the_service_time_is_said(tmp_path):
    (fleet,) = fleets(of_constant(tmp_path, ms=6.0), Load(10.0, "latency_p99_ms", 5.0))
    assert fleet.replicas is None and fleet.usd_per_month is None
    assert fleet.why == "no number of replicas: p99 of single requests, without a queue, is 6.12 ms"


def test_without_a_price_the_replicas_are_still_known(tmp_path):
    (fleet,) = fleets(of_constant(tmp_path, price=None), Load(10.0, "latency_p99_ms", 5.0))
    assert (fleet.replicas, fleet.usd_per_month, fleet.why) == (1, None, "no price by the hour")


def test_a_row_that_failed_or_has_no_evidence_says_so_and_comes_last(tmp_path):
    run = run_folder(tmp_path, "failed", "none", "works")
    for block in range(2):
        trial(run, "works", block, {"interactive": [1.0] * 400}, fresh=False)
        trial(run, "failed", block, {"interactive": [1.0]}, status="failed", failure="oom", message="too much")
    cold(run, "none", 1)
    found = fleets(open_run(run), Load(10.0, "latency_p99_ms", 5.0))
    assert [each.cell.candidate.name for each in found] == ["works", "failed", "none"]
    assert found[1].why == "failed: oom"
    assert found[2].why.startswith("no trial timed single requests")


def test_open_loops_are_predicted_from_their_own_and_from_other_service_times(tmp_path):
    reader = open_run(run_of(tmp_path, SPREAD, [SINGLE, BUSY], trials=2))
    (found,) = foretold(reader, "latency_p90_ms")
    assert found.scenario == "load" and found.source == ("interactive",)
    assert found.utilisation == pytest.approx(0.6, abs=0.08)
    assert all(each == pytest.approx(1.0, abs=0.12) for each in (*found.own, *found.rest))
    assert len(found.own) == len(found.rest) == 2


def test_service_times_under_load_keep_idle_servers_apart(tmp_path):
    reader = open_run(run_of(tmp_path, SPREAD, [SINGLE, BUSY], trials=2))
    trials, scenarios = reader.trials("a@box"), reader.record.suite.scenario
    loops = open_loops(trials, scenarios)
    found = service_under_load(loops)
    assert found.scenarios == ("load",) and len(found.processes) == len(found.after_idle) == 2
    assert found.measured == sum(each.latency.size for each in loops[0].served)
    share = found.after_idle[0].size / loops[0].served[0].latency.size
    assert share == pytest.approx(0.4, abs=0.06)  # a Poisson arrival finds the server idle with 1 - rho
    assert service_under_load([]) is None
    assert closed_loop(trials, scenarios).scenarios == ("interactive",)
    assert closed_loop(trials, scenarios[1:]) is None and not open_loops(trials, scenarios[:1])


def test_the_capacity_prices_the_row_at_the_limit_and_says_so(tmp_path):
    policy = Policy(limits={"latency_p90_ms": Limit(max=4.0)})
    reader = open_run(run_of(tmp_path, SPREAD, [SINGLE, PEAK], policy=policy))
    (entry,) = reader.entries(policy)
    capacity, cost = entry.metrics["peak.capacity_per_s"], entry.metrics[COST]
    assert cost.value == pytest.approx(1e-4 * 1e6 / capacity.value)
    assert cost.low == pytest.approx(1e-4 * 1e6 / capacity.high)
    assert cost.high == pytest.approx(1e-4 * 1e6 / capacity.low)
    assert cost.value > 1.3 * 1e-4 * 1e6 / 950  # a closed loop of 1 ms would be said to do 950 a second
    (said,) = [each for each in entry.diagnostics if each.code == "cost_at_capacity"]
    assert "keep p90 at most 4 ms" in said.message
    assert len(entry.trials[COST]) == 3


@pytest.mark.parametrize(
    "limits",
    [
        {"latency_p90_ms": Limit(max=3.0)},  # stricter than what was searched
        {"latency_p99_ms": Limit(max=4.0)},  # another percentile
    ],
)
def test_a_capacity_at_another_limit_does_not_price_the_row(tmp_path, limits):
    policy = Policy(limits=limits)
    reader = open_run(run_of(tmp_path, SPREAD, [SINGLE, PEAK], trials=2, policy=policy))
    (entry,) = reader.entries(policy)
    assert not [each for each in entry.diagnostics if each.code == "cost_at_capacity"]
    assert entry.metrics[COST].value == pytest.approx(1e-4 * 1e6 / 950, rel=0.1)


def test_a_capacitys_interval_holds_what_is_certified_and_how_processes_differ(tmp_path):
    reader = open_run(run_of(tmp_path, SPREAD | {"process_spread": 0.05}, [PEAK]))
    (entry,) = reader.entries(Policy())
    found, holds, breaks = (entry.metrics[f"capacity{name}_per_s"] for name in ("", "_holds", "_breaks"))
    assert found.low <= holds.value < found.value < breaks.value <= found.high
    values = np.log(entry.trials["capacity_per_s"])
    assert found.value == pytest.approx(float(np.exp(values.mean())))
    assert (found.trials, found.unit, found.basis) == (3, "1/s", "within")


def test_one_process_has_a_capacity_without_an_interval(tmp_path):
    reader = open_run(run_of(tmp_path, SPREAD, [PEAK], trials=1))
    (entry,) = reader.entries(Policy())
    assert (entry.metrics["capacity_per_s"].low, entry.metrics["capacity_per_s"].high) == (None, None)
