"""`harness capacity` as a user meets it."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from harness.cli.app import app
from harness.errors import SpecError
from harness.scenarios.capacity import Capacity
from harness.scenarios.server import Server
from harness.scenarios.single_stream import SingleStream

from ..analyse.loaded import run_of

SINGLE = SingleStream(name="interactive", seconds=0.5)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    base = tmp_path_factory.mktemp("capacity")
    return run_of(base, {"latency_ms": 1.0}, [SINGLE, Server(name="load", rate_per_s=400, seconds=5)], trials=2)


def said(*arguments: str):
    return CliRunner().invoke(app, ["capacity", *arguments], env={"COLUMNS": "160"})


def test_replicas_cost_and_the_error_of_the_prediction_are_printed(run):
    found = said(str(run), "--rate", "1500", "--p99", "5ms")
    assert found.exit_code == 0, found.output
    assert "for 1500 requests per second, p99 at most 5 ms" in found.output
    assert "a@" not in found.output.splitlines()[0]
    assert "788" in found.output  # 3 × 0.36 USD × 730 h
    assert "a@box at 400/s" in found.output and "predicted ÷ measured p99" in found.output
    assert "Poisson arrivals" in found.output and "a queue of its own" in found.output


def test_where_no_replicas_suffice_the_exit_code_says_so(run):
    found = said(str(run), "--rate", "1500", "--p99", "500us")
    assert found.exit_code == 3
    assert "no number of replicas" in found.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rate", "0", "--p99", "5ms"), "--rate: 0 is not a number of requests per second above 0"),
        (("--rate", "-3", "--p99", "5ms"), "--rate: -3 is not"),
        (("--rate", "nan", "--p99", "5ms"), "--rate: nan is not"),
        (("--p99", "5ms"), "--rate: no load is given (write --rate 2000"),
        (("--rate", "9"), "no limit on latency (give one of --p50, --p90, --p95, --p99, --p99.9"),
        (("--rate", "9", "--p99", "5ms", "--p50", "1ms"), "two limits"),
        (("--rate", "9", "--p99", "5"), "--p99: '5' is not a duration above 0 (write 50ms, 500us or 2s)"),
        (("--rate", "9", "--p99.9", "0ms"), "--p99.9: '0ms' is not a duration"),
    ],
)
def test_mistakes_are_one_message_each(run, arguments, message):
    found = said(str(run), *arguments)
    assert isinstance(found.exception, SpecError)
    assert message in str(found.exception)


def test_an_unknown_percentile_is_an_option_that_does_not_exist(run):
    found = said(str(run), "--rate", "9", "--p97", "5ms")
    assert found.exit_code == 2 and "--p97" in found.output


def test_a_run_without_open_loops_says_that_nothing_was_validated(tmp_path):
    run = run_of(tmp_path, {"latency_ms": 1.0}, [SINGLE], trials=2, price=None)
    found = said(str(run), "--rate", "9", "--p90", "5ms", "--dispatch", "shared")
    assert "not validated: the run measured no p90 in an open loop" in found.output
    assert "no price by the hour" in found.output and "one queue feeds all replicas" in found.output


def test_a_measured_capacity_stands_beside_its_prediction(tmp_path):
    """M/D/1 of 1 ms: p90 is 4 ms at rho = 0.69, which the search measures and the single requests predict."""
    peak = Capacity(name="peak", percentile="p90", limit_ms=4.0, seconds=20.0)
    run = run_of(tmp_path, {"latency_ms": 1.0}, [SINGLE, peak], trials=2)
    (line,) = (line for line in said(str(run), "--rate", "9", "--p99", "5ms").output.splitlines() if "a@box" in line)
    found = re.fullmatch(
        r"· a@box, p90 at most 4 ms: (\d+) .*per second measured \(scenario peak, n = \d+ in 2\), "
        r"(\d+) .*predicted from interactive",
        line.strip(),
    )
    assert found is not None, line
    assert float(found[1]) == pytest.approx(690, rel=0.1)
    assert float(found[2]) == pytest.approx(690, rel=0.02)


def test_a_capacity_without_other_scenarios_has_no_prediction(tmp_path):
    peak = Capacity(name="peak", percentile="p90", limit_ms=4.0, seconds=10.0)
    run = run_of(tmp_path, {"latency_ms": 1.0}, [peak], trials=2)
    found = said(str(run), "--rate", "9", "--p99", "5ms").output
    assert "per second measured (scenario peak" in found and ", no prediction" in found
