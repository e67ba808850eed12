"""The composite action: its steps are run as GitHub runs them, in a repository with a base revision and a change."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

yaml = pytest.importorskip("yaml", reason="PyYAML reads action.yml; it comes with mkdocs")
ACTION = yaml.safe_load((Path(__file__).parents[2] / "action.yml").read_text())
SUITE = """
description = "fakes"
targets = ["here"]
[dataset]
path = "x.npz"
[[candidate]]
name = "model"
path = "model.fake.toml"
[[scenario]]
name = "interactive"
kind = "single_stream"
seconds = 0.1
[budget]
seconds = 3
trials = 3
max_trials = 3
[policy.objectives]
latency_p50_ms = { weight = 1, target = 0.1, limit = 100 }
"""
MODEL = "latency_ms = {}\nsigma = 0.1\nprocess_spread = 0.01\n"


class Job:
    """A job with this action as its only step: expressions, conditions, outputs, and files that steps write to."""

    def __init__(self, folder: Path, temp: Path, **inputs: str) -> None:
        self.folder, self.temp, self.code, self.ran = folder, temp, 0, list[str]()
        self.names: dict[str, str] = {f"inputs.{k}": str(v.get("default", "")) for k, v in ACTION["inputs"].items()}
        self.names |= {f"inputs.{k.replace('_', '-')}": v for k, v in inputs.items()}
        self.names |= {"github.event_name": "pull_request", "github.event.number": "7", "github.token": "t"}
        self.summary = temp / "summary.md"
        bin_ = temp / "bin"
        bin_.mkdir()
        (bin_ / "gh").write_text('#!/bin/sh\necho "$@" >> "$GH_LOG"\ncp "$5" "$GH_LOG.body"\n')
        (bin_ / "gh").chmod(0o755)
        self.env = os.environ | {
            "PATH": f"{bin_}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RUNNER_TEMP": str(temp),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_OUTPUT": str(temp / "output"),
            "GH_LOG": str(temp / "gh"),
        }

    def run(self) -> Job:
        for step in ACTION["runs"]["steps"]:
            if step["name"] != "Install" and self._is_due(step.get("if")):
                self._do(step)
        return self

    def _is_due(self, condition: str | None) -> bool:
        if condition is None or "always()" not in condition:
            return self.code == 0 and (condition is None or bool(self._value(condition)))
        return bool(self._value(condition))

    def _value(self, expression: str) -> Any:
        """Evaluate an expression of GitHub, as far as the action has them."""
        text = expression.replace("&&", " and ").replace("||", " or ").replace("always()", "True")
        names = re.compile(r"'[^']*'|\b(?:inputs|steps|github)\.[\w.-]+")
        text = names.sub(lambda m: m[0] if m[0].startswith("'") else repr(self.names.get(m[0], "")), text)
        return eval(text, {})

    def _do(self, step: dict[str, Any]) -> None:
        self.ran.append(step["name"])
        own = {
            k: re.sub(r"\$\{\{(.+?)\}\}", lambda m: str(self._value(m[1])), v) for k, v in step.get("env", {}).items()
        }
        output = self.temp / "output"
        output.write_text("")
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(command, cwd=self.folder, env=self.env | own, capture_output=True, text=True)
        self.said = done.stdout + done.stderr
        for line in output.read_text().splitlines():
            name, _, value = line.partition("=")
            self.names[f"steps.{step.get('id')}.outputs.{name}"] = value
        self.code = self.code or done.returncode


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@t")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone whose branch `main` has a model of 1 ms."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    (origin / "targets").mkdir(parents=True)
    (origin / "targets/here.toml").write_text('description = "here"\nruntime = "fake"\n')
    np.savez(origin / "x.npz", x=np.zeros((8, 1), np.float32), labels=np.zeros(8, np.int64))
    (origin / "serving.toml").write_text(SUITE)
    (origin / "model.fake.toml").write_text(MODEL.format(1.0))
    git(origin, "init", "-q", "-b", "main")
    git(origin, "add", "-A")
    git(origin, "commit", "-qm", "base")
    git(tmp_path, "clone", "-q", str(origin), str(clone))
    return clone


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    (tmp_path / "runner").mkdir()
    return tmp_path / "runner"


def test_a_slower_model_fails_the_job_with_a_summary_and_a_comment(repository: Path, temp: Path):
    (repository / "model.fake.toml").write_text(MODEL.format(2.0))
    job = Job(repository, temp, suite="serving.toml", baseline_ref="main", comment="true").run()
    assert job.code == 4, job.said
    assert job.ran == ["Measure the baseline", "Measure", "Compare", "Comment", "Judge"]
    assert job.names["steps.compare.outputs.regression"] == "true"
    summary = job.summary.read_text()
    assert "model" in summary
    assert "worse" in summary
    assert (temp / "gh").read_text().startswith("pr comment 7 --body-file ")
    body = (temp / "gh.body").read_text()
    assert body.startswith("<!-- harness: serving.toml -->")
    assert "worse" in body
    assert "<details><summary>The ranking</summary>" in body


def test_without_a_baseline_the_suite_is_measured_and_shown(repository: Path, temp: Path):
    job = Job(repository, temp, suite="serving.toml").run()
    assert (job.code, job.ran) == (0, ["Measure"]), job.said
    assert "model" in job.summary.read_text()
    assert (Path(job.names["steps.run.outputs.run"]) / "decision.json").is_file()


def test_a_wrong_suite_fails_with_its_message(repository: Path, temp: Path):
    job = Job(repository, temp, suite="nothing.toml").run()
    assert job.code == 2
    assert "nothing.toml: no such file" in job.said


def test_every_step_is_bash_and_every_input_is_used():
    text = (Path(__file__).parents[2] / "action.yml").read_text()
    for step in ACTION["runs"]["steps"]:
        assert subprocess.run(["bash", "-n", "-c", step["run"]], capture_output=True).returncode == 0
        assert "${{" not in step["run"], "expressions go through env: a suite's name is no code"
    for name in ACTION["inputs"]:
        assert f"inputs.{name}" in text
