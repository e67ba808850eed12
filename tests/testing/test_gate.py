"""The pytest plug-in, in pytest sessions of its own: what passes, fails, is skipped, and what is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas.core.arrays.arrow.extension_types  # noqa: F401  # pytester forgets what it imports, pyarrow does not
import pytest

from harness.errors import SpecError
from harness.testing.gate import Asked, policy_of

pytest_plugins = ["pytester"]

SUITE = """
description = "fakes"
targets = ["here"]
[dataset]
path = "x.npz"
[[candidate]]
name = "good"
path = "good.fake.toml"
[[candidate]]
name = "broken"
path = "broken.fake.toml"
[[scenario]]
name = "interactive"
kind = "single_stream"
seconds = 0.1
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project of a team: two scripted models with a suite, and their own tests."""
    (pytester.path / "targets").mkdir()
    (pytester.path / "targets/here.toml").write_text('description = "here"\nruntime = "fake"\n')
    np.savez(pytester.path / "x.npz", x=np.zeros((8, 1), np.float32), labels=np.zeros(8, np.int64))
    (pytester.path / "good.fake.toml").write_text("latency_ms = 1.0\nsigma = 0.1\nprocess_spread = 0.02\n")
    (pytester.path / "broken.fake.toml").write_text('fail_at = "first"\n')
    (pytester.path / "fakes.toml").write_text(SUITE)
    return pytester


def gate(what: str, budget: str) -> str:
    return f"""
        def test_gate(harness_cell):
            cell = harness_cell({what}, suite="fakes.toml", target="here", trials=2, budget="{budget}")
            assert cell.metrics["latency_p50_ms"].low < 1.1
            print("measured in", cell.folder)
    """


def outcome(project: pytest.Pytester, what: str, *options: str, budget: str = "4s") -> pytest.RunResult:
    project.makepyfile(gate(what, budget))
    return project.runpytest_inprocess("-rs", "-p", "no:cacheprovider", *options)


def test_bounds_that_certainly_hold_pass_and_their_values_are_kept(project: pytest.Pytester):
    bounds = '"good", at_most={"latency_p50_ms": 2}, at_least={"accuracy": 0.2}'
    found = outcome(project, bounds, "--harness-out=kept", "--junitxml=x.xml")
    found.assert_outcomes(passed=1)
    (run,) = (project.path / "kept").iterdir()
    assert (run / "decision.json").is_file()
    text = (project.path / "x.xml").read_text()
    assert '<property name="latency_p50_ms" value="' in text
    assert '<property name="accuracy" value="1.0 [' in text


def test_a_bound_that_is_certainly_broken_fails_with_what_was_measured(project: pytest.Pytester):
    found = outcome(project, '"good", at_most={"latency_p50_ms": 0.5}')
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(["good@here: broken", "*p50*exceeds 0.5 ms*", "*evidence: *"])
    found.stdout.no_fnmatch_line("*Traceback*")


def test_what_cannot_be_told_is_skipped_with_what_would_settle_it_or_fails_if_strict(project: pytest.Pytester):
    bounds = '"good", at_most={"latency_p99_9_ms": 2}'  # p99.9 takes 3,688 requests of a ms
    found = outcome(project, bounds, budget="1.5s")
    found.assert_outcomes(skipped=1)
    found.stdout.fnmatch_lines(["*SKIPPED*good@here: cannot tell*"])
    assert "needs" in found.stdout.str()
    project.makeini("[pytest]\nharness_strict = true\n")
    outcome(project, bounds, budget="1.5s").assert_outcomes(failed=1)


def test_a_model_that_fails_fails_and_a_target_that_is_not_there_is_not_a_pass(project: pytest.Pytester):
    found = outcome(project, '"broken", at_most={"latency_p50_ms": 2}')
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(["broken@here: broken"])


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ('"good"', "no bound is given"),
        ('"godo", at_most={"latency_p50_ms": 2}', "did you mean 'good'"),
        ('"good", at_most={"latency_p50": 2}', "unknown metric 'latency_p50' (did you mean 'latency_p50_ms'"),
        ('"good", at_most={"latency_p50_ms": "2 ms"}', "is no number"),
        ('"good", at_most={"latency_p50_ms": 1}, at_least={"latency_p50_ms": 2}', "is above max"),
    ],
)
def test_wrong_use_is_named_without_a_traceback(project: pytest.Pytester, what: str, said: str):
    found = outcome(project, what)
    found.assert_outcomes(failed=1)
    assert said in found.stdout.str()
    assert "Traceback" not in found.stdout.str()
    assert "another exception" not in found.stdout.str()


def test_bounds_become_the_policy_before_anything_is_measured():
    asked = Asked("m", "t", at_most={"latency_p99_ms": 5}, at_least={"accuracy": 0.9}, confidence=0.9)
    policy = policy_of(asked)
    assert (policy.limits["latency_p99_ms"].max, policy.limits["accuracy"].min) == (5, 0.9)
    assert policy.confidence == 0.9
    with pytest.raises(SpecError, match="is no number"):
        policy_of(asked._replace(at_most={"latency_p99_ms": True}))


def test_the_plug_in_costs_other_peoples_sessions_nothing():
    code = "import sys, harness.testing.plugin; print(*[m for m in ('numpy', 'pandas', 'msgspec') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_bare_model_file_of_a_real_runtime(project: pytest.Pytester):
    model = Path(__file__).parents[2] / "suites/digits/logistic.onnx"
    project.makepyfile(f"""
        def test_gate(harness_cell):
            harness_cell({str(model)!r}, at_most={{"latency_p50_ms": 200, "artefact_mib": 1}}, trials=2, budget="5s")
    """)
    project.runpytest_inprocess("-rs", "-p", "no:cacheprovider").assert_outcomes(passed=1)
