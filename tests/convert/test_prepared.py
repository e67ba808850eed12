"""Conversions as a run makes them: in a process of their own, kept by content, judged by the suite's parity."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from harness.artefacts import cache_folder
from harness.plan import Cell
from harness.prepare import Preparation, Probed
from harness.runs import RunRecord
from harness.spec.suite import Candidate, Parity, Suite, Synthetic
from harness.spec.wire import Artefact, Convert, Outcome
from harness.suites import digits
from harness.trial.launch import run_job

pytest.importorskip("onnxruntime")
pytest.importorskip("skl2onnx")
joblib = pytest.importorskip("joblib")
linear_model = pytest.importorskip("sklearn.linear_model")

FEATURES = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
DEFAULT = Parity()
LOADS_ONNX = Probed(Outcome(status="ok", formats=("onnx",)), 0.5)


class Runs:
    """Prepares the candidate `m` in one run folder after another; `said` is what the last one said."""

    def __init__(self, folder: Path, target) -> None:
        self.folder, self.target, self.number = folder, target, 0
        self.said: list[str] = []

    def dump(self, estimator, targets) -> None:
        joblib.dump(estimator.fit(FEATURES.astype(np.float64), targets), self.folder / "m.joblib")

    def prepare(self, name="m.joblib", parity=DEFAULT, trust=True):
        candidate = Candidate(name="m", path=name, task="regression")
        suite = Suite(
            name="s",
            description="",
            targets=("t",),
            candidate=(candidate,),
            parity=parity,
            trust_pickle=trust,
        )
        record = RunRecord(
            id="r",
            created="2026-01-01T00:00:00+00:00",
            suite=suite,
            suite_file="s.toml",
            base=str(self.folder),
            targets=(self.target,),
            seed=0,
        )
        self.number, self.said = self.number + 1, []
        work = Preparation(self.folder / f"run-{self.number}", record, run_job, self.said.append)
        return work.cell(Cell(candidate, self.target), LOADS_ONNX, None, "synthetic")


@pytest.fixture
def runs(tmp_path, onnx_target, monkeypatch) -> Runs:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Runs(tmp_path, onnx_target)


def test_a_conversion_is_made_once_and_again_only_for_other_content(runs):
    runs.dump(linear_model.LinearRegression(), FEATURES[:, 0])
    first = runs.prepare()
    assert runs.said == ["converting m to onnx"]
    assert (first.status, first.artefact.format, first.overhead_s) == ("ok", "onnx", 0.5)
    made = Path(first.artefact.path)
    assert made.is_relative_to(cache_folder())
    os.utime(made, ns=(1, 1))
    again = runs.prepare()
    assert (runs.said, again) == ([], first)
    assert made.stat().st_mtime_ns == 1

    runs.dump(linear_model.LinearRegression(), 2 * FEATURES[:, 0])
    other = runs.prepare()
    assert runs.said == ["converting m to onnx"]
    assert other.artefact.digest != first.artefact.digest
    assert made.stat().st_mtime_ns == 1


def test_a_conversion_that_strays_is_an_output_error_and_not_kept_from_being_judged_again(runs):
    runs.dump(linear_model.LinearRegression(), 1e6 * FEATURES.astype(np.float64) @ [1.0, 0.1, 0.01])
    ready = runs.prepare(parity=Parity(max_abs_diff=0))
    assert (ready.status, ready.failure, ready.artefact) == ("failed", "output_error", None)
    assert ready.why.startswith("the converted model differs from its original by ")
    assert ready.parity.max_abs_diff > 0
    tolerant = runs.prepare(parity=Parity(max_abs_diff=10))
    assert (tolerant.status, runs.said) == ("ok", [])


def test_a_pickle_is_not_converted_without_trust(runs):
    runs.dump(linear_model.LogisticRegression(), FEATURES[:, 0] > 0)
    ready = runs.prepare(trust=False)
    assert (ready.status, ready.failure) == ("failed", "load_error")
    assert ready.why.startswith("conversion to onnx: m.joblib is a pickle and is refused")


def test_what_cannot_be_converted_fails_its_cell_and_is_tried_again(runs):
    (runs.folder / "m.joblib").write_bytes(b"no pickle")
    for _ in range(2):
        ready = runs.prepare()
        assert (ready.status, ready.failure) == ("failed", "load_error")
        assert ready.why.startswith("conversion to onnx: joblib cannot load m.joblib: ")
        assert runs.said == ["converting m to onnx"]


def test_a_damaged_conversion_is_made_again(runs):
    runs.dump(linear_model.LinearRegression(), FEATURES[:, 0])
    first = runs.prepare()
    Path(first.artefact.path).write_bytes(b"cut off")
    assert runs.prepare().status == "ok"


def test_a_torch_program_is_converted_in_its_own_process(tmp_path):
    pytest.importorskip("torch")
    job = Convert(
        candidate=Candidate(name="mlp", path="mlp.pt2"),
        artefact=Artefact(format="pt2", path=f"{digits.__path__[0]}/mlp.pt2"),
        wanted="onnx",
        synthetic=Synthetic(rows=16),
    )
    outcome = run_job(tmp_path, job, timeout_s=120)
    assert (outcome.status, outcome.message) == ("ok", "")
    assert (outcome.parity.rows, outcome.parity.top1_agreement) == (16, 1.0)
    assert outcome.parity.max_abs_diff < 1e-4
    assert outcome.files == {"model.onnx": (tmp_path / "model.onnx").stat().st_size}
