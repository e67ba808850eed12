"""What a trial is told, and how the trials of a block are sized by what is known before it."""

from __future__ import annotations

import os

import msgspec
import pytest

from harness.evidence.run import Cell, PreparedCell, RunRecord, Speed
from harness.pipeline import plan
from harness.pipeline.jobs import Jobs, Sizing, cost_of, highest_percentile, measuring_s, needs_cold, windows_of
from harness.scenarios.offline import Offline
from harness.scenarios.server import Server
from harness.scenarios.single_stream import SingleStream
from harness.spec.policy import Limit, Objective, Policy
from harness.spec.suite import Budget, Candidate, Suite
from harness.spec.target import Limits, Target
from harness.spec.variant import Variant

ANY = Objective(weight=1, target=1, limit=100)
SPEED = Speed(load_s=0.5, first_s=0.2, requests_s={"one": 0.001, "many.b1": 0.001, "many.b8": 0.004})


def record_of(target=None, *, controls=False, scenarios=None):
    target = target or Target(name="t", description="d", runtime="fake")
    suite = Suite(
        name="s",
        description="",
        targets=(target.name,),
        candidate=(Candidate(name="m", path="m.fake.toml"),),
        scenario=scenarios or (SingleStream(name="one", seconds=2.0), Offline(name="many", seconds=3.0)),
        budget=Budget(seconds=100.0),
    )
    stated = {"id": "r", "created": "2026-01-01", "suite_file": "s.toml", "base": "."}
    return RunRecord(suite=suite, targets=(target,), seed=7, controls=controls, **stated)


def made(record, stretch, typical, *, block=0, forkable=True, speed=SPEED):
    """Return the trial of the only cell, and its turns."""
    cell = Cell(record.suite.candidate[0], record.targets[0])
    prepared = PreparedCell(status="ok", variant=Variant(format="fake"), speed=speed, forkable=forkable)
    jobs, sizing = Jobs(record, "prepare/dataset"), Sizing({cell.name: stretch}, typical)
    planned = plan.Planned(cell.name, block, 40 + block)
    return jobs.trial(cell, prepared, planned, sizing), jobs.turn(cell, prepared, sizing)


def test_a_trial_is_told_its_windows_turns_and_place():
    job, turn = made(record_of(), 1.0, 1.0, block=2)
    assert [scenario.seconds for scenario in job.scenarios] == [2.0, 3.0]
    assert (job.turn_s, turn.every) == (turn.seconds, 1) == (0.025, 1)
    assert (job.seed, job.block, job.sequence, job.dataset) == (7, 2, 42, "prepare/dataset/evaluation")
    assert (job.fresh, job.predict, job.slower) == (False, False, 0.0)
    assert made(record_of(), 1.0, 1.0, forkable=False)[0].fresh


def test_only_the_first_scenario_grows_all_of_them_shrink():
    assert [s.seconds for s in made(record_of(), 4.0, 1.0)[0].scenarios] == [8.0, 3.0]
    assert [s.seconds for s in made(record_of(), 0.5, 1.0)[0].scenarios] == [1.0, 1.5]


def test_a_stretched_cell_has_as_many_rounds_as_the_typical_one():
    job, turn = made(record_of(), 4.0, 1.0)
    assert (turn.seconds, turn.every) == (pytest.approx(0.1), 1)
    assert round(job.scenarios[0].seconds / job.turn_s) == round(2.0 / 0.025)


def test_a_cell_of_slow_requests_rests_in_some_rounds():
    slow = Speed(requests_s={"one": 0.5, "many.b1": 0.5})
    _, turn = made(record_of(), 1.0, 1.0, speed=slow)
    assert (turn.seconds, turn.every) == (0.5, 20)


def test_a_cell_under_a_quota_has_turns_of_ten_periods_and_the_cost_of_them():
    quota = Speed(requests_s={"one": 0.001, "many.b1": 0.001, "many.b8": 0.004}, settle_s=0.1)
    job, turn = made(record_of(), 0.1, 1.0, speed=quota)
    assert (turn.seconds, job.turn_s, job.scenarios[0].seconds) == (1.0, 1.0, 1.0)
    assert made(record_of(), 1.0, 1.0, speed=quota)[1] == (1.0, 40)
    assert cost_of(quota, record_of().suite.scenario, 500, 0.25) == plan.Cost(0.25, 0.001, 2.0, 500, 1.0)


@pytest.mark.parametrize(
    ("options", "limits", "pinned"),
    [
        ({"intra_op_threads": 1}, Limits(), True),
        ({}, Limits(cpus=1.0), True),
        ({}, Limits(cpus=0.5), True),
        ({"intra_op_threads": 2}, Limits(cpus=1.0), False),
        ({}, Limits(cpus=2.0), False),
        ({}, Limits(), False),
    ],
)
def test_a_cell_of_one_thread_has_one_cpu_another_one_in_each_block(options, limits, pinned):
    record = record_of(Target(name="t", description="d", runtime="fake", options=options, limits=limits))
    cpus = sorted(os.sched_getaffinity(0))
    for block in range(5):
        job, _ = made(record, 1.0, 1.0, block=block)
        assert job.cpus == ((cpus[block % len(cpus)],) if pinned else None)


def test_a_cold_trial_is_short_fresh_and_may_predict():
    record = record_of()
    cell, prepared = (
        Cell(record.suite.candidate[0], record.targets[0]),
        PreparedCell(status="ok", variant=Variant(format="fake")),
    )
    job = Jobs(record, None).cold(cell, prepared, 3, predict=True)
    assert [scenario.seconds for scenario in job.scenarios] == pytest.approx([0.1, 0.1])
    assert (job.fresh, job.predict, job.sequence, job.dataset, job.cpus) == (True, True, 3, None, None)
    short = record_of(scenarios=(SingleStream(name="one", seconds=0.02),))
    assert Jobs(short, None).cold(cell, prepared, 1, predict=False).scenarios[0].seconds == 0.02


@pytest.mark.parametrize(
    ("device", "key", "seconds"),
    [
        ("cuda", "energy_per_inference_mj", 6.0),
        ("cpu", "energy_per_inference_mj", 1.5),
        ("cuda", "memory_peak_mib", 0.1),
    ],
)
def test_a_cold_trial_is_long_where_energy_is_asked_for(device, key, seconds):
    record = record_of(Target(name="t", description="d", runtime="fake", device=device))
    suite = msgspec.structs.replace(record.suite, policy=Policy(objectives={key: ANY}))
    cell = Cell(suite.candidate[0], record.targets[0])
    prepared = PreparedCell(status="ok", variant=Variant(format="fake"))
    job = Jobs(msgspec.structs.replace(record, suite=suite), None).cold(cell, prepared, 1, predict=False)
    assert [scenario.seconds for scenario in job.scenarios] == pytest.approx([seconds, 0.1])


def test_the_cost_of_a_cell_is_that_of_its_requests():
    assert cost_of(SPEED, record_of().suite.scenario, 500, 0.25) == plan.Cost(0.25, 0.001, pytest.approx(0.005), 500)
    assert cost_of(SPEED, record_of().suite.scenario[::-1], 500, 0.25).request_s == 0.001
    assert cost_of(Speed(first_s=0.2), record_of().suite.scenario, 500, 0.0).request_s == 0.2, "all that is known"
    assert windows_of(record_of().suite.scenario) == plan.Windows(2.0, 3.0)


@pytest.mark.parametrize(
    ("policy", "highest"),
    [
        (Policy(objectives={"latency_p50_ms": ANY}), 0.5),
        (Policy(objectives={"accuracy": ANY}), 0.99),
        (Policy(objectives={"latency_p50_ms": ANY}, limits={"latency_p99_9_ms": Limit(max=5)}), 0.999),
        (Policy(objectives={"latency_p50_ms": ANY, "other.latency_p90_ms": ANY}), 0.9),
    ],
)
def test_requests_are_counted_for_the_highest_percentile_asked_for(policy, highest):
    assert highest_percentile(policy) == highest


@pytest.mark.parametrize(
    ("key", "cold"),
    [
        ("load_ms", True),
        ("first_inference_ms", True),
        ("memory_peak_mib", True),
        ("energy_per_inference_mj", True),
        ("gpu_memory_peak_mib", False),  # processes on a GPU are no forks: each trial tells
        ("latency_p50_ms", False),
        ("accuracy", False),
        ("throughput_per_s", False),
    ],
)
def test_what_only_fresh_processes_tell(key, cold):
    assert needs_cold(Policy(objectives={key: ANY})) is cold
    assert needs_cold(Policy(objectives={"latency_p50_ms": ANY}, limits={key: Limit(max=5)})) is cold


def test_controls_have_their_part_of_the_budget():
    assert measuring_s(record_of()) == 100.0
    assert measuring_s(record_of(controls=True)) == pytest.approx(88.0)


@pytest.mark.parametrize(("rate", "needed"), [(100, 680), (500, 3000), (800, 22500), (5000, 22500)])
def test_an_open_loop_needs_more_requests_the_longer_its_queue_is(rate, needed):
    """Windows go by the time between arrivals, and by how long a queue takes to forget where it began."""
    scenarios = (Server(name="one", rate_per_s=float(rate)), Server(name="many", rate_per_s=2.0))
    found = cost_of(Speed(requests_s={"one": 0.001, "many": 0.004}), scenarios, 500, 0.0)
    assert found.needed == pytest.approx(needed, abs=1)
    assert (found.request_s, found.gap_s, found.others_s) == (0.001, 1 / rate, 0.5)
    assert found.each_s == found.gap_s
