"""The search for a capacity within a trial, on a simulated clock; what it leaves and how that is read."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.analyse.trials import TrialMetrics, read_trial
from harness.errors import SpecError
from harness.launch.base import Terms, run_job
from harness.scenarios.base import MeasuredWindow
from harness.scenarios.capacity import KIND, Capacity, expected, late_of
from harness.selftest.field import trial
from harness.selftest.inline import InlineLauncher
from harness.spec.check import check_suite
from harness.spec.suite import Candidate, Suite
from harness.spec.target import Limits
from harness.stats.queueing import highest_rate, poisson_load

MS = 1e6


def searched(base: Path, script: dict, scenario: Capacity, seed: int = 0) -> TrialMetrics:
    """Search in one trial of a scripted model, and read it."""
    job = trial(base, script, Limits(), scenario.seconds, scenario, seed)
    outcome = run_job(InlineLauncher(), base / "trial", job, Terms(base))
    assert outcome.status == "ok", outcome.message
    found = read_trial(base / "trial", 0, (scenario,))
    assert found is not None
    return found


def rates(found: TrialMetrics) -> list[float]:
    return [window.open_loop.rate_per_s for window in found.outcome.windows if window.open_loop is not None]


def test_the_capacity_is_bracketed_by_certified_rates(tmp_path):
    """Lognormal times of 1 ms, p90 at most 4 ms: the truth is that of a long simulation."""
    rng = np.random.default_rng(1)
    service = np.exp(0.3 * rng.standard_normal(20_000))
    truth = 1e3 * highest_rate([poisson_load(service, 400_000, rng)], 0.9, 4.0)
    scenario = Capacity(name="peak", percentile="p90", limit_ms=4.0, seconds=40.0)
    values = searched(tmp_path, {"latency_ms": 1.0, "sigma": 0.3}, scenario).values
    low, high = values["capacity_holds_per_s"], values["capacity_breaks_per_s"]
    assert low < truth < high < 1.5 * low
    assert low < values["capacity_per_s"] < high
    assert values["capacity_per_s"] == pytest.approx(truth, rel=0.15)


def test_every_rate_leaves_its_evidence_and_the_prediction_saves_rates(tmp_path):
    scenario = Capacity(name="peak", percentile="p90", limit_ms=4.0, seconds=40.0)
    found = searched(tmp_path, {"latency_ms": 1.0}, scenario)
    alone, *tried = found.outcome.windows
    assert alone.name == "peak.alone" and alone.open_loop is None
    assert [window.name for window in tried] == [f"peak.{number}" for number in range(1, len(tried) + 1)]
    assert all(found.requests(window.name, "due").size == window.samples for window in tried)
    guess = expected(scenario, np.asarray(found.requests("peak.alone"))).rate_per_s
    assert rates(found)[0] == pytest.approx(0.9 * guess)
    assert len(set(rates(found))) <= 8
    assert found.counts["capacity_per_s"] == sum(window.samples for window in tried)


def test_the_search_ends_with_its_seconds_and_says_what_it_knows(tmp_path):
    """Two seconds at 1 ms: a thousand requests certify nothing, and the value is the prediction's."""
    scenario = Capacity(name="peak", limit_ms=5.0, seconds=2.0)
    found = searched(tmp_path, {"latency_ms": 1.0}, scenario)
    lasted = sum(window.elapsed_ns for window in found.outcome.windows) / 1e9
    assert lasted < 1.6 * scenario.seconds
    guess = expected(scenario, np.asarray(found.requests("peak.alone"))).rate_per_s
    assert found.values["capacity_per_s"] == pytest.approx(guess)
    assert not {"capacity_holds_per_s", "capacity_breaks_per_s"} & set(found.values)


def test_a_limit_that_single_requests_break_leaves_no_capacity(tmp_path):
    found = searched(tmp_path, {"latency_ms": 6.0}, Capacity(name="peak", limit_ms=5.0, seconds=1.0))
    assert not any("capacity" in key for key in found.values)
    (said,) = found.warnings
    assert said.code == "capacity_none" and "requests that do not wait take 6 ms" in said.message
    assert rates(found) == []


def test_requests_that_were_never_served_are_late(tmp_path):
    """A model that freezes for ten seconds: what the window's deadline leaves unserved counts against the rate."""
    scenario = Capacity(name="peak", percentile="p90", limit_ms=4.0, seconds=6.0)
    script = {"latency_ms": 1.0, "stall_at": 2_500, "stall_ms": 10_000.0}
    found = searched(tmp_path, script, scenario)
    cut = [window for window in found.outcome.windows if window.ended_by == "deadline"]
    assert cut and cut[0].samples < cut[0].open_loop.offered
    served = np.asarray(found.requests(cut[0].name))
    assert cut[0].open_loop.rate_per_s not in (found.values.get("capacity_holds_per_s"),)
    late = late_of(scenario, served, cut[0].open_loop.offered)
    assert late.size == cut[0].open_loop.offered and late[served.size :].all()


def test_the_parent_judges_evidence_as_the_child_did(tmp_path):
    scenario = Capacity(name="peak", percentile="p90", limit_ms=4.0, seconds=20.0)
    found = searched(tmp_path, {"latency_ms": 1.0, "sigma": 0.2}, scenario)
    windows = [MeasuredWindow(window, found.folder) for window in found.outcome.windows]
    again = KIND.metrics(scenario, windows).values
    assert again == {key: value for key, value in found.values.items() if "capacity" in key}
    stricter = msgspec.structs.replace(scenario, limit_ms=2.0)
    assert KIND.metrics(stricter, windows).values["capacity_per_s"] < again["capacity_per_s"]


def test_a_model_of_half_a_second_has_too_few_requests_to_certify_anything(tmp_path):
    found = searched(tmp_path, {"latency_ms": 500.0}, Capacity(name="peak", limit_ms=2_000.0, seconds=20.0))
    assert 0.5 < found.values["capacity_per_s"] < 2.0
    assert not {"capacity_holds_per_s", "capacity_breaks_per_s"} & set(found.values)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"limit_ms": 0}, "limit_ms"),
        ({"limit_ms": 5, "percentile": "p97"}, "percentile"),
        ({"limit_ms": 5, "seconds": 0}, "seconds"),
        ({}, "limit_ms"),
    ],
)
def test_wrong_parameters_are_refused(table, said):
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert({"kind": "capacity", "name": "peak"} | table, Capacity)


def test_threads_and_processes_are_not_both(tmp_path):
    (tmp_path / "a.fake.toml").write_text("")
    both = Capacity(name="peak", limit_ms=5.0, serving_threads=2, serving_processes=2)
    candidate = Candidate(name="a", path="a.fake.toml")
    suite = Suite(name="s", description="d", targets=("t",), candidate=(candidate,), scenario=(both,))
    with pytest.raises(SpecError, match="give either threads or processes"):
        check_suite(suite, "s.toml", tmp_path)
