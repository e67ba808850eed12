"""What a cell costs by its evidence: a number, a number with an open end, or unknown."""

from __future__ import annotations

from datetime import date

import msgspec
import numpy as np
import pytest

from harness.analyse.money import cost, latency_limit
from harness.analyse.reader import open_run
from harness.scenarios.server import Server
from harness.scenarios.single_stream import SingleStream
from harness.spec.policy import Limit, Policy
from harness.spec.target import ContainerPrice, FunctionPrice, Limits

from .handwritten import run_folder, trial
from .loaded import run_of

COST = "cost_per_million_usd"
P90_BELOW_5 = Policy(limits={"latency_p90_ms": Limit(max=5)})
READ = {"source": "made up", "as_of": date(2026, 8, 1)}
FUNCTION = FunctionPrice(usd_per_gb_s=1e-5, usd_per_million_requests=0.20, free_tier=True, free_requests=1e9, **READ)
CONTAINER = ContainerPrice(usd_per_vcpu_s=2e-5, usd_per_gib_s=2e-6, usd_per_million_requests=0.40, **READ)
HALF = Limits(cpus=0.5, memory_mib=512)


def usd(per_s):
    """0.36 USD per hour, always busy: 1e-4 USD per second."""
    return 1e-4 * 1e6 / per_s


def entry(run, policy=P90_BELOW_5):
    (found,) = open_run(run).entries(policy)
    return found


def spread(count):
    """Return factors from 0.9 to 1.1 whose mean is 1."""
    return np.linspace(0.9, 1.1, count)


def measured(base, windows, blocks=4, **run):
    """Write a run: window → (latency ms, number of requests) of a candidate, each trial 0.1 % slower than the last."""
    base.mkdir(exist_ok=True)
    made = run_folder(base, "a", **run)
    for block in range(blocks):
        given = {name: ms * 1.001**block * spread(count) for name, (ms, count) in windows.items()}
        trial(made, "a", block, given, fresh=False)
    return made


def test_the_batch_that_certainly_keeps_the_limit_is_the_price(tmp_path):
    found = entry(measured(tmp_path, {"interactive": (1.0, 200), "offline.b8": (4.0, 200)}))
    cost = found.metrics[COST]
    assert found.trials[COST] == pytest.approx([usd(2000 / 1.001**b) for b in range(4)], rel=1e-5)
    assert cost.value == pytest.approx(usd(2000 / 1.001**1.5), rel=1e-5)
    assert (cost.basis, cost.trials) == ("between", 4)
    assert cost.low < cost.value < cost.high < 1.05 * cost.value


def test_a_faster_batch_that_only_seems_to_keep_it_leaves_the_upper_end_to_the_certain_one(tmp_path):
    """A p90 of 20 requests has no upper end, so that of 1,000 requests a second it is not certain."""
    cost = entry(measured(tmp_path, {"interactive": (2.0, 200), "offline.b8": (4.0, 5)})).metrics[COST]
    assert cost.value == pytest.approx(usd(2000), rel=0.02)
    assert cost.low == pytest.approx(usd(2000), rel=0.05)
    assert cost.high == pytest.approx(usd(500), rel=0.05)
    assert cost.basis == "within"


def test_where_nothing_is_certain_there_is_no_upper_end(tmp_path):
    cost = entry(measured(tmp_path, {"interactive": (2.0, 5), "offline.b8": (4.0, 5)})).metrics[COST]
    assert cost.value == pytest.approx(usd(2000), rel=0.02)
    assert cost.low == pytest.approx(usd(2000), rel=0.05)
    assert cost.high is None


def test_a_batch_above_the_limit_does_not_count(tmp_path):
    cost = entry(measured(tmp_path, {"interactive": (1.0, 200), "offline.b8": (6.0, 200)})).metrics[COST]
    assert cost.value == pytest.approx(usd(1000), rel=0.02)


def test_where_no_batch_keeps_the_limit_the_cost_is_unknown(tmp_path):
    found = entry(measured(tmp_path, {"interactive": (6.0, 200), "offline.b8": (9.0, 200)}))
    assert COST not in found.metrics and COST not in found.trials


def test_one_block_says_what_it_seems_to_be_with_both_ends_open(tmp_path):
    cost = entry(measured(tmp_path, {"interactive": (1.0, 200), "offline.b8": (4.0, 200)}, blocks=1)).metrics[COST]
    assert (cost.value, cost.low, cost.high, cost.trials) == (pytest.approx(usd(2000)), None, None, 1)


def test_a_batch_that_may_keep_the_limit_leaves_the_cost_open_and_the_row_undecided(tmp_path):
    """One block does not tell how processes differ: a p90 of 6 ms may still be below 5."""
    cost = entry(measured(tmp_path, {"interactive": (6.0, 200)}, blocks=1)).metrics[COST]
    assert (cost.value, cost.low, cost.high) == (pytest.approx(usd(1000 / 6)), None, None)


def test_without_a_limit_the_fastest_batch_is_the_price(tmp_path):
    cost = entry(measured(tmp_path, {"interactive": (1.0, 9), "offline.b8": (4.0, 9)}), Policy()).metrics[COST]
    assert cost.value == pytest.approx(usd(2000), rel=0.02)
    assert cost.high is not None


def test_without_a_price_there_is_no_cost(tmp_path):
    assert COST not in entry(measured(tmp_path, {"interactive": (1.0, 200)}, price=None)).metrics


def test_a_batch_that_some_trial_left_out_is_not_priced(tmp_path):
    run = measured(tmp_path, {"interactive": (1.0, 200), "offline.b8": (4.0, 200)})
    trial(run, "a", 4, {"interactive": [1.0] * 200}, fresh=False)
    assert entry(run).metrics[COST].value == pytest.approx(usd(1000), rel=0.05)


def test_a_function_pays_for_each_request_rounded_up(tmp_path):
    """512 MiB, requests of 0.9 to 1.1 ms: half of them are billed as 1 ms, half as 2 ms, and 0.20 USD a million."""
    run = measured(tmp_path, {"interactive": (1.0, 200), "offline.b8": (4.0, 200)}, price=FUNCTION, limits=HALF)
    cost = entry(run, Policy(limits={"latency_p90_ms": Limit(max=0.001)})).metrics[COST]
    assert cost.value == pytest.approx(0.20 + 1e6 * 1.5e-3 * 0.5 * 1e-5, rel=0.01)
    assert cost.low < cost.value < cost.high < 1.05 * cost.value


def test_a_container_pays_for_steps_of_100_ms_and_an_instance_for_time_that_is_not_known(tmp_path):
    run = measured(tmp_path / "request", {"interactive": (1.0, 200)}, price=CONTAINER, limits=HALF)
    assert entry(run).metrics[COST].value == pytest.approx(0.40 + 1e6 * 0.1 * (0.5 * 2e-5 + 0.5 * 2e-6), rel=1e-9)
    whole = msgspec.structs.replace(CONTAINER, billing="instance")
    run = measured(tmp_path / "instance", {"interactive": (1.0, 200)}, price=whole, limits=HALF)
    assert COST not in entry(run).metrics


def test_the_highest_bounded_percentile_is_the_limit():
    bounds = {"latency_p50_ms": Limit(max=1), "latency_p95_ms": Limit(max=3), "offline.latency_p99_ms": Limit(max=9)}
    assert latency_limit(Policy(limits=bounds)) == ("latency_p95_ms", 3)
    assert latency_limit(Policy()) == ("latency_p99_ms", None)


def test_waiting_in_a_queue_is_not_billed(tmp_path):
    """At a load of 0.7 requests wait longer than they are served; an instance is billed for serving them."""
    kinds = SingleStream(name="one", seconds=2.0), Server(name="load", rate_per_s=500, seconds=2.0)
    found = []
    for place, scenario in enumerate(kinds):
        reader = open_run(run_of(tmp_path / str(place), {"latency_ms": 1.4}, [scenario], price=FUNCTION))
        (cell,) = reader.cells
        limited = cell._replace(target=msgspec.structs.replace(cell.target, limits=HALF))
        found.append(cost(limited, reader.trials(cell.name), Policy()).measure.value)
    assert found[1] == pytest.approx(found[0], rel=0.01)
