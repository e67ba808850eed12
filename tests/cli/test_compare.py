"""`harness compare`, `baseline`, `history` and `nightly` as they are typed: what is printed, and exit codes."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

from .test_cli import harness, started

SUITE = """
description = "two fakes"
targets = ["box.toml"]
budget = { seconds = 60, trials = 3, max_trials = 3, race = "off" }
[[candidate]]
name = "one"
path = "one.fake.toml"
[[candidate]]
name = "two"
path = "two.fake.toml"
[[scenario]]
name = "interactive"
kind = "single_stream"
seconds = 0.2
max_samples = 300
[policy.objectives]
latency_p50_ms = { weight = 1, target = 0.1, limit = 100 }
"""


def script(folder, name, latency_ms):
    path = folder / f"{name}.fake.toml"
    path.unlink(missing_ok=True)  # a run's artefact is a link to it
    path.write_text(f"latency_ms = {latency_ms}\nsigma = 0.02\n")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A folder with a base run kept as baseline, and a run in which one row is 30 % slower."""
    folder = tmp_path_factory.mktemp("compared")
    (folder / "box.toml").write_text('description = "scripted"\nruntime = "fake"\n')
    (folder / "mine.toml").write_text(SUITE)
    script(folder, "one", 1.0)
    script(folder, "two", 2.0)
    assert harness(folder, "run", "mine.toml").returncode == 0
    base = next((folder / "results").iterdir()).name
    kept = harness(folder, "baseline", base, "--python", sys.executable, "--why", "the first one")
    assert (kept.returncode, kept.stderr) == (0, "") and "baseline of mine: 1 runs" in kept.stdout
    script(folder, "one", 1.3)
    assert harness(folder, "run", "mine.toml").returncode == 0
    return folder, base


def test_a_slower_row_fails_where_that_is_asked_for(ran):
    folder, base = ran
    done = harness(folder, "compare", base, "latest", "--noise", "1%")
    assert (done.returncode, done.stderr) == (0, "")
    assert "regression: one@box; " in done.stdout and "comparison: results/" in done.stdout
    asked = started(folder, "compare", base, "latest", "--noise", "1%", "--fail-on", "regression", "--summary", "s.md")
    assert asked.returncode == 4
    assert "| worse | one@box |" in (folder / "s.md").read_text()
    (path,) = (folder / "results").glob("*/compare.json")
    found = json.loads(path.read_text())
    assert found["base"] == [base] and {each["row"] for each in found["verdicts"]} == {"one@box", "two@box"}


def test_a_night(ran):
    """The baseline's interpreter makes every row comparable side by side; the slow row is told, and only that."""
    folder, _ = ran
    done = started(folder, "nightly", "mine.toml", "--budget", "4s", "--again", "4s")
    assert done.returncode == 4, done.stdout + done.stderr
    worse = [line for line in done.stdout.splitlines() if line.lstrip().startswith("worse")]
    assert worse and all("worse, confirmed" in line and "one@box" in line for line in worse)
    assert "2 rows were measured again side by side" in done.stdout
    listed = harness(folder, "history", "mine", "--metric", "latency_p50_ms")
    assert listed.returncode == 0 and listed.stdout.count("one@box") == 1 and "3 runs of mine" in listed.stdout


def test_hosts_that_differ_are_refused_unless_forced(ran):
    folder, base = ran
    other = folder / "results" / base.replace("mine", "mine2")
    shutil.copytree(folder / "results" / base, other)
    for path in other.glob("cells/*/*/outcome.json"):
        outcome = json.loads(path.read_text())
        outcome["launched"]["host"]["cpu"] = "another"
        path.write_text(json.dumps(outcome))
    done = harness(folder, "compare", str(other), "latest")
    assert done.returncode == 2 and "cpu: another, now" in done.stderr and "--force" in done.stderr
    forced = harness(folder, "compare", str(other), "latest", "--force")
    assert forced.returncode == 0 and "warning: cpu: another" in forced.stdout
    shutil.rmtree(other)


def test_a_half_copied_run_is_named(ran):
    folder, _ = ran
    half = folder / "half"
    half.mkdir(exist_ok=True)
    (half / "run.json").write_text("{")
    done = harness(folder, "compare", str(half), "latest")
    assert done.returncode == 2 and "run.json: cannot be read" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "latest"], "measured no rows of a base beside its own (name two runs: BASE and NEW)"),
        (["compare", "latest", "latest"], "the same run is named twice"),
        (["compare", "nothing", "latest"], "no run called 'nothing'"),
        (["compare", "latest", "x", "--fail-on", "noise"], "--fail-on: 'noise' is nothing to fail on"),
        (["compare", "BASE", "latest", "--margin", "latency_p9_ms=5%"], "unknown metric 'latency_p9_ms' (did you mean"),
        (["compare", "BASE", "latest", "--margin", "latency_p99_ms"], "--margin: '' is not a fraction"),
        (["compare", "BASE", "latest", "--noise", "much"], "--noise: 'much' is not a fraction (write 5% or 0.05)"),
        (["compare", "BASE", "latest", "--alpha", "70%"], "--alpha: '70%' is no error rate"),
        (["compare", "BASE", "latest", "--everything"], "nothing is measured again (add --confirm)"),
        (["compare", "BASE", "latest", "--metric", "accuracy"], "--metric: accuracy: no row has it"),
        (["history", "nightly"], "no runs of suite 'nightly' (suites with runs: mine)"),
        (["nightly", "quick"], "no baseline of suite 'quick', only of mine"),
        (["nightly", "mine.toml", "--again", "soon"], "--again: 'soon' is not a duration above 0"),
        (["baseline", "nothing"], "no run called 'nothing'"),
    ],
)
def test_mistakes_are_one_message(ran, arguments, said):
    folder, base = ran
    done = harness(folder, *(base if each == "BASE" else each for each in arguments))
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1


def test_baselines_are_shown(ran, tmp_path):
    folder, base = ran
    shown = harness(folder, "baseline").stdout
    assert f"mine: {base}" in shown and "the first one" in shown and f"interpreter {sys.executable}" in shown
    assert "no baseline in" in harness(tmp_path, "baseline").stdout
