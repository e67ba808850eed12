"""Users of a cell's fleet, from starts and warm requests that a test gives: what they see, and what it costs."""

from __future__ import annotations

import math
from datetime import date

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analyse.fleet import fleet_of
from harness.analyse.provisioned import provisioned_remark, sweep
from harness.analyse.reader import open_run
from harness.analyse.starts import Start
from harness.analyse.users import rate_of, times_for
from harness.cost.serverless import MONTH_S
from harness.evidence.files import read_json, write_json
from harness.evidence.run import Cell, RunRecord
from harness.pipeline.conclude import conclude
from harness.scenarios.fleet import Users
from harness.spec.outcome import Outcome, Started
from harness.spec.policy import Policy
from harness.spec.suite import Candidate
from harness.spec.target import ContainerPrice, FunctionPrice, HourlyPrice, Lifecycle, Limits, Target

from .handwritten import run_folder, trial

MS = 1_000_000
READ = {"source": "made up", "as_of": date(2026, 8, 1)}
FUNCTION = FunctionPrice(
    usd_per_gb_s=1e-5,
    usd_per_million_requests=0.20,
    provisioned_usd_per_gb_s=2.5e-6,
    provisioned_duration_usd_per_gb_s=5e-6,
    **READ,
)
CONTAINER = ContainerPrice(usd_per_vcpu_s=2e-5, usd_per_gib_s=2e-6, **READ)


def cell(price=FUNCTION, limits=None, **life):
    target = Target(
        name="f",
        description="d",
        runtime="fake",
        launcher="function",
        limits=limits or Limits(memory_mib=512),
        lifecycle=Lifecycle(**life),
        price=price,
    )
    return Cell(Candidate(name="c", path="c.fake.toml"), target)


def start(number, cold_ms, warm_ms, init_ms=None):
    """One start: all of its time but 1 ms is INIT."""
    init = round((cold_ms - 1 if init_ms is None else init_ms) * MS)
    phases = Started(
        own_ns=0,
        interpreter_ns=0,
        imports_ns=0,
        load_ns=init,
        first_ns=round(cold_ms * MS) - init,
        second_ns=round(warm_ms[0] * MS),
        init_ns=init,
    )
    took = np.array([1.0, warm_ms[0], *warm_ms]) * MS
    return Start(number, Outcome(status="ok", started=phases), took.astype(np.int64), took.astype(np.int64))


def starts(count=30, requests=20, cold_ms=400.0, warm_ms=3.0, spread=0.2, seed=1):
    rng = np.random.default_rng(seed)
    draw = np.exp(spread * rng.standard_normal((count, requests + 1)))
    return [start(n, cold_ms * row[0], warm_ms * row[1:]) for n, row in enumerate(draw)]


def users(per_s=0.01, requests=20_000, **more):
    return Users(rate_per_s=per_s, requests=requests, **more)


def pooled_ms(found):
    return np.concatenate([each.invoke_ns[2:] for each in found]) / MS


@settings(max_examples=8, deadline=None)
@given(st.floats(0.05, 1.0), st.floats(0.1, 500.0), st.integers(0, 1000))
def test_where_nothing_is_cold_users_see_the_measured_distribution(spread, warm_ms, seed):
    """p50, p99 within 2 %: here every measured time is used equally often."""
    made = starts(requests=17, warm_ms=warm_ms, spread=spread, seed=seed)  # 510 times: no tie at p99
    found = fleet_of(cell(provisioned=300), users(per_s=0.2), (), made, seed)
    assert found.scenario["cold_start_rate"].value == 0.0
    for key, p in (("latency_p50_ms", 0.5), ("latency_p99_ms", 0.99)):
        expected = float(np.quantile(pooled_ms(made), p, method="inverted_cdf"))
        assert found.scenario[key].value == pytest.approx(expected, rel=0.02)


@settings(max_examples=8, deadline=None)
@given(st.floats(0.05, 4.0), st.integers(0, 1000))
def test_the_cold_rate_of_poisson_users_is_that_of_gaps_beyond_the_keep_alive(product, seed):
    made = starts(cold_ms=5.0, warm_ms=2.0)
    found = fleet_of(cell(keep_alive_s=300.0), users(per_s=product / 300.0), (), made, seed)
    rate = found.scenario["cold_start_rate"]
    assert rate.value == pytest.approx(math.exp(-product), abs=0.02)
    assert rate.low <= math.exp(-product) + 0.01 and math.exp(-product) - 0.01 <= rate.high


def test_the_tail_that_is_cold_is_as_uncertain_as_thirty_starts():
    found = fleet_of(cell(keep_alive_s=300.0), users(per_s=0.01), (), starts(), 1).scenario  # e^-3: 5 % are cold
    p99 = found["latency_p99_ms"]
    assert 300 < p99.low < p99.value < p99.high < 800
    assert p99.effective_n <= p99.n == 30 * 20 + 30
    assert found["latency_p99_9_ms"].high is None
    assert found["latency_p50_ms"].value == pytest.approx(3.0, rel=0.1)


def test_what_a_function_costs_is_requests_and_rounded_durations_with_init():
    made = [start(n, 401.5, [2.5] * 10) for n in range(10)]  # warm: 3 ms, cold: 402 ms are billed
    given = users(per_s=0.005)
    found = fleet_of(cell(keep_alive_s=300.0), given, (), made, 1)
    cold = found.scenario["cold_start_rate"].value
    usd = 0.20 + 1e6 * 0.5 * 1e-5 * ((1 - cold) * 0.003 + cold * 0.402)
    assert found.cell["cost_per_million_usd"].value == pytest.approx(usd, rel=1e-6)
    rate = len(found.simulated.arrivals_s) / found.simulated.span_s
    assert found.cell["cost_per_month_usd"].value == pytest.approx(usd * rate * MONTH_S / 1e6, rel=1e-6)


def test_init_that_is_not_billed_and_what_happens_elsewhere_are_seen_but_not_paid():
    made = [start(n, 401.5, [2.5] * 10) for n in range(10)]
    free = cell(msgspec.structs.replace(FUNCTION, init_billed=False), elsewhere_ms=100.0, elsewhere_source="s")
    found = fleet_of(free, users(per_s=0.005), (), made, 1)
    cold = found.scenario["cold_start_rate"].value
    usd = 0.20 + 1e6 * 0.5 * 1e-5 * ((1 - cold) * 0.003 + cold * 0.001)
    assert found.cell["cost_per_million_usd"].value == pytest.approx(usd, rel=1e-6)
    assert found.scenario["latency_p99_ms"].value == pytest.approx(501.5)


def test_a_container_pays_for_busy_stretches_or_for_its_whole_life():
    made, limits = [start(n, 401.5, [2.5] * 10) for n in range(10)], Limits(cpus=1.0, memory_mib=512)
    found = fleet_of(cell(CONTAINER, limits, keep_alive_s=60.0), users(per_s=0.005), (), made, 1)
    cold = found.scenario["cold_start_rate"].value
    per_s = 2e-5 + 0.5 * 2e-6
    assert found.cell["cost_per_million_usd"].value == pytest.approx(
        1e6 * per_s * ((1 - cold) * 0.1 + cold * 0.5), rel=1e-6
    )
    whole = msgspec.structs.replace(CONTAINER, billing="instance")
    paid = fleet_of(cell(whole, limits, keep_alive_s=60.0), users(per_s=0.005), (), made, 1)
    lives = 60.0 * cold / 1.0  # every instance is idle for its keep-alive time at the end
    assert paid.cell["cost_per_million_usd"].value > 1e6 * per_s * lives


def test_the_interval_of_a_cost_is_that_of_what_processes_differ():
    cost = fleet_of(cell(), users(), (), starts(spread=0.3), 1).cell["cost_per_million_usd"]
    assert cost.low < cost.value < cost.high < 1.3 * cost.value
    one = fleet_of(cell(), users(), (), starts(count=1), 1).cell["cost_per_million_usd"]
    assert (one.low, one.high) == (None, None)


def test_all_cells_serve_the_same_users():
    one, other = (fleet_of(cell(), users(), (), starts(warm_ms=ms), 7).simulated for ms in (1.0, 50.0))
    assert np.array_equal(one.arrivals_s, other.arrivals_s)
    assert not np.array_equal(one.arrivals_s, fleet_of(cell(), users(), (), starts(), 8).simulated.arrivals_s)


def test_without_a_start_that_succeeded_nothing_is_known():
    failed = Start(0, Outcome(status="failed", failure="oom"), np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert fleet_of(cell(), users(), (), [failed], 1) is None
    assert times_for(cell().target, (), []) is None


def test_kept_instances_lower_the_tail_and_cost_what_they_stand():
    made, given = starts(), users(per_s=0.01)
    on_demand = cell(keep_alive_s=300.0)
    told = sweep(on_demand, times_for(on_demand.target, (), made), given, 1)
    assert [each.provisioned for each in told] == [0, 1]
    assert told[0].p99_ms > 300 > 10 > told[1].p99_ms
    standing = MONTH_S * 0.5 * 2.5e-6
    assert told[1].usd - told[0].usd == pytest.approx(standing, rel=0.05)
    said = provisioned_remark(on_demand, fleet_of(on_demand, given, (), made, 1).simulated, given, 1)
    assert said.code == "provisioned" and said.data["provisioned"] == [0, 1]
    assert "1 kept instance would lower cold starts from" in said.message and "busy 50 % of the time" in said.message
    no_price = msgspec.structs.replace(FUNCTION, provisioned_usd_per_gb_s=None)
    other = cell(no_price, keep_alive_s=300.0)
    assert provisioned_remark(other, fleet_of(other, given, (), made, 1).simulated, given, 1) is None


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        (Users(rate_per_s=3.0), 3.0),
        (Users(arrivals="bursty", rate_per_s=1.0, burst_per_s=10.0, burst_s=1.0, calm_s=8.0), 2.0),
        (Users(at_s=(5.0, 6.0, 9.0)), 0.5),
    ],
)
def test_the_mean_rate(given, rate):
    assert rate_of(given) == pytest.approx(rate)


PRICE = HourlyPrice(usd_per_hour=0.36, utilisation=0.5, **READ)


def always_on(base, per_s, service_ms=10.0, blocks=3):
    """Write a run of a machine that is always on, whose requests take this long, for users at this rate."""
    run = run_folder(base, "a", price=PRICE)
    record = read_json(run / "run.json", RunRecord)
    suite = msgspec.structs.replace(record.suite, scenario=(record.suite.scenario[0], users(per_s=per_s, name="u")))
    write_json(run / "run.json", msgspec.structs.replace(record, suite=suite))
    for block in range(blocks):
        trial(run, "a", block, {"interactive": service_ms * (1 + 0.001 * block) * np.ones(400)}, fresh=False)
    return run


def test_a_machine_that_is_always_on_is_a_queue_that_never_goes_cold(tmp_path):
    """Half busy with requests of 10 ms: M/D/1, mean wait ρs/(2(1-ρ)) = 5 ms."""
    (entry,) = open_run(always_on(tmp_path, per_s=49.0)).entries(Policy())
    rate, p50 = entry.metrics["u.cold_start_rate"], entry.metrics["u.latency_p50_ms"]
    assert (rate.value, rate.low, rate.high, rate.basis) == (0.0, 0.0, 0.0, "exact")
    assert 10.0 < p50.value < 20.0 < entry.metrics["u.latency_p99_ms"].value
    cost = entry.metrics["cost_per_million_usd"]
    assert cost.value == pytest.approx(0.36 / 3600 / 49.0 * 1e6, rel=0.02)
    assert cost.basis == "exact" and "cost_per_million_usd" not in entry.trials


def test_machines_are_as_many_as_keep_to_the_utilisation(tmp_path):
    (entry,) = open_run(always_on(tmp_path, per_s=120.0)).entries(Policy())  # 1.2 busy: three, at 50 % each
    assert entry.metrics["cost_per_million_usd"].value == pytest.approx(3 * 0.36 / 3600 / 120.0 * 1e6, rel=0.03)


def test_a_run_says_which_users_it_assumed_and_that_machines_are_always_on(tmp_path):
    ranked = conclude(always_on(tmp_path, per_s=2.0))
    said = {note.code: note.message for note in ranked.ranking.notes}
    assert said["users"].startswith("u: 20,000 poisson arrivals, 2 a second on average, are simulated")
    assert "always on" in said["utilisation_assumed"]
    again = conclude(ranked.folder)
    assert again.ranking == ranked.ranking
