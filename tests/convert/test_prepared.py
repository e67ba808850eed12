"""Conversions as a run makes them: in a process of their own, kept by content, judged by the suite's parity."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from harness.errors import SpecError
from harness.evidence.run import Cell, RunRecord
from harness.launch.base import PROCESS, Terms, run_job
from harness.launch.process import ProcessLauncher
from harness.pipeline.artefacts import cache_folder
from harness.pipeline.prepare import Data, Preparation
from harness.pipeline.targets import refuse_unused_options
from harness.spec import plugins
from harness.spec.outcome import Outcome
from harness.spec.suite import Candidate, Dataset, Parity, Source, Suite, Synthetic
from harness.spec.target import Target
from harness.spec.variant import Variant
from harness.spec.wire import Convert
from harness.suites import digits

pytest.importorskip("onnxruntime")
pytest.importorskip("skl2onnx")
joblib = pytest.importorskip("joblib")
linear_model = pytest.importorskip("sklearn.linear_model")

FEATURES = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
LOADS_ONNX = Outcome(status="ok", formats=("onnx",), duration_ns=500_000_000)


class Runs:
    """Prepares the candidate `m` in one run folder after another; `said` is what the last one said."""

    def __init__(self, folder: Path, target: Target) -> None:
        self.folder, self.target, self.number = folder, target, 0
        self.said: list[str] = []

    @property
    def run(self) -> Path:
        """The last run's folder."""
        return self.folder / f"run-{self.number}"

    def dump(self, estimator, targets) -> None:
        joblib.dump(estimator.fit(FEATURES.astype(np.float64), targets), self.folder / "m.joblib")

    def preparation(self, parity, trust, dataset) -> Preparation:
        suite = Suite(
            name="s",
            description="",
            targets=("t",),
            candidate=(Candidate(name="m", path="m.joblib", task="regression"),),
            dataset=dataset,
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
        self.run.mkdir()
        return Preparation(self.run, record, {PROCESS: ProcessLauncher()}, self.said.append)

    def prepare(self, parity=None, trust=True):
        work = self.preparation({} if parity is None else {"fp32": parity}, trust, Dataset(synthetic=Synthetic()))
        candidate = Candidate(name="m", path="m.joblib", task="regression")
        return work.cell(Cell(candidate, self.target), LOADS_ONNX, Data(None, {}))


@pytest.fixture
def runs(tmp_path, onnx_target, monkeypatch) -> Runs:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Runs(tmp_path, onnx_target)


def cached() -> list[Path]:
    """The models in the cache."""
    return sorted(cache_folder().glob("*/model.onnx"))


def test_a_conversion_is_made_once_and_again_only_for_other_content(runs):
    runs.dump(linear_model.LinearRegression(), FEATURES[:, 0])
    first = runs.prepare()
    assert runs.said == ["converting m: sklearn-to-onnx"]
    assert (first.status, first.variant.format) == ("ok", "onnx")
    assert first.variant.steps == ("sklearn-to-onnx",)
    (made,) = cached()
    assert (runs.run / first.variant.path).read_bytes() == made.read_bytes()
    assert not Path(first.variant.path).is_absolute()  # so that the run folder can travel
    os.utime(made, ns=(1, 1))
    again = runs.prepare()
    assert (runs.said, again) == ([], first)
    assert made.stat().st_mtime_ns == 1

    runs.dump(linear_model.LinearRegression(), 2 * FEATURES[:, 0])
    other = runs.prepare()
    assert runs.said == ["converting m: sklearn-to-onnx"]
    assert other.variant.digest != first.variant.digest
    assert made.stat().st_mtime_ns == 1
    assert len(cached()) == 2


def test_a_conversion_that_strays_is_an_output_error_and_not_kept_from_being_judged_again(runs):
    runs.dump(linear_model.LinearRegression(), 1e6 * FEATURES.astype(np.float64) @ [1.0, 0.1, 0.01])
    prepared = runs.prepare(parity=Parity(max_abs_diff=0))
    assert (prepared.status, prepared.failure) == ("failed", "output_error")
    assert prepared.why.startswith("the converted model differs from its original by ")
    assert prepared.variant.parity.max_abs_diff > 0
    tolerant = runs.prepare(parity=Parity(max_abs_diff=10))
    assert (tolerant.status, runs.said) == ("ok", [])


def test_a_pickle_is_not_converted_without_trust(runs):
    runs.dump(linear_model.LogisticRegression(), FEATURES[:, 0] > 0)
    prepared = runs.prepare(trust=False)
    assert (prepared.status, prepared.failure) == ("failed", "load_error")
    assert prepared.why.startswith("conversion sklearn-to-onnx: m.joblib is a pickle and is refused")


def test_what_cannot_be_converted_fails_its_cell_and_is_tried_again(runs):
    (runs.folder / "m.joblib").write_bytes(b"no pickle")
    for _ in range(2):
        prepared = runs.prepare()
        assert (prepared.status, prepared.failure) == ("failed", "load_error")
        assert prepared.why.startswith("conversion sklearn-to-onnx: joblib cannot load m.joblib: ")
        assert runs.said == ["converting m: sklearn-to-onnx"]


def test_a_damaged_conversion_is_made_again(runs):
    runs.dump(linear_model.LinearRegression(), FEATURES[:, 0])
    first = runs.prepare()
    (made,) = cached()
    made.write_bytes(b"cut off")
    again = runs.prepare()
    assert runs.said == ["converting m: sklearn-to-onnx"]
    assert (again.status, again.variant.digest) == ("ok", first.variant.digest)


def test_a_torch_program_is_converted_in_its_own_process(tmp_path, onnx_target):
    pytest.importorskip("torch")
    job = Convert(
        candidate=Candidate(name="mlp", path="mlp.pt2"),
        target=onnx_target,
        source=Variant(format="pt2", path="mlp.pt2"),
        conversion="pt2-to-onnx",
        synthetic=Synthetic(rows=16),
    )
    outcome = run_job(ProcessLauncher(), tmp_path / "job", job, Terms(Path(digits.__path__[0]), timeout_s=120))
    assert (outcome.status, outcome.message) == ("ok", "")
    assert (outcome.parity.rows, outcome.parity.top1_agreement) == (16, 1.0)
    assert outcome.parity.max_abs_diff < 1e-4
    assert outcome.files["model.onnx"] == (tmp_path / "job" / "model.onnx").stat().st_size


PLUG_IN = """
import numpy as np
import onnx
from harness.runtimes.base import ModelError
from harness.runtimes.onnxruntime import OnnxRuntime
from harness.spec.target import Target

TARGET = Target(name="t", description="d", runtime="onnxruntime")


class Loaded:
    def __init__(self, path):
        self.path = path

    @property
    def inputs(self):
        from harness.spec.variant import Variant
        return OnnxRuntime().load(Variant(format="onnx", path=self.path), TARGET, 1, 0, 0).inputs

    def predict(self, feed):
        raise AssertionError("a later step has the candidate's own outputs")


class Rounding:
    # Rounds coefficients to `decimals`, and shifts the result by the mean of the calibration rows, times `shift`.
    options = {"decimals": int, "shift": float}

    def load(self, variant):
        return Loaded(variant.path)

    def convert(self, original, order, folder):
        if order.calibration is None:
            raise ModelError("no calibration rows")
        model = onnx.load(original.path)
        mean = float(np.mean(order.calibration["features"]))
        for attribute in (a for node in model.graph.node for a in node.attribute):
            if attribute.name == "coefficients":
                attribute.floats[:] = [round(c, order.options["decimals"]) for c in attribute.floats]
            if attribute.name == "intercepts":
                attribute.floats[:] = [c + mean * order.options.get("shift", 0.0) for c in attribute.floats]
        onnx.save(model, str(folder / "rounded.onnx"))
        return "rounded.onnx"
"""


@pytest.fixture
def rounding(tmp_path, monkeypatch):
    """An installed distribution with a conversion of ONNX from fp32 to rounded; worker processes find it too."""
    site = tmp_path / "site"
    (site / "rounding-1.dist-info").mkdir(parents=True)
    (site / "rounding-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: rounding\nVersion: 1\n")
    (site / "rounding-1.dist-info" / "entry_points.txt").write_text(
        "[harness.conversions]\nonnx.fp32-to-onnx.rounded = rounding_plug_in:Rounding\n"
    )
    (site / "rounding_plug_in.py").write_text(PLUG_IN)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    clear()
    yield site
    clear()


def clear():
    plugins.names.cache_clear()
    plugins.load.cache_clear()


@pytest.fixture
def precise(runs, rounding):
    """Prepare `m` for rounded targets that set these options of conversions, all in one run."""
    runs.dump(linear_model.LinearRegression(), FEATURES.astype(np.float64) @ [1.04, 0.26, 0.07] + 0.5)
    np.savez(runs.folder / "rows.npz", features=FEATURES)
    np.savez(runs.folder / "calibration.npz", features=np.full((6, 3), 2.0, np.float32))

    def call(*options, calibration=True, precision="rounded"):
        rows = Source(path="calibration.npz") if calibration else None
        work = runs.preparation({}, True, Dataset(path="rows.npz", calibration=rows))
        data, candidate = work.dataset(), work._record.suite.candidate[0]
        each = ({"runtime": "onnxruntime", "precision": precision, "conversion": one} for one in options)
        targets = [Target(name=f"t{i}", description="d", **fields) for i, fields in enumerate(each)]
        return [work.cell(Cell(candidate, target), LOADS_ONNX, data) for target in targets]

    return call


def coefficients(runs, prepared):
    model = pytest.importorskip("onnx").load(runs.run / prepared.variant.path)
    found = {a.name: list(a.floats) for node in model.graph.node for a in node.attribute}
    return found["coefficients"], found["intercepts"][0]


def test_a_chain_of_two_conversions_is_compared_with_the_candidate_itself(runs, precise):
    (prepared,) = precise({"decimals": 1})
    assert (prepared.status, prepared.why) == ("ok", "")
    assert runs.said == ["preparing the dataset", *(f"converting m: {step}" for step in prepared.variant.steps)]
    variant = prepared.variant
    assert (variant.format, variant.precision) == ("onnx", "rounded")
    assert variant.steps == ("sklearn-to-onnx", "onnx.fp32-to-onnx.rounded")
    assert variant.options == {"decimals": 1}
    found, _ = coefficients(runs, prepared)
    assert found == pytest.approx([1.0, 0.3, 0.1], abs=1e-6)
    # of the outputs, not of the step before: rounding changes the coefficients by 0.04, 0.04 and 0.03
    expected = np.abs(FEATURES @ np.array([0.04, -0.04, -0.03])).max()
    assert variant.parity.rows == 40
    assert variant.parity.max_abs_diff == pytest.approx(expected, abs=1e-4)


def test_targets_with_other_options_get_variants_of_their_own(runs, precise):
    coarse, fine, again = precise({"decimals": 0}, {"decimals": 1}, {"decimals": 0})
    assert coefficients(runs, coarse)[0] == pytest.approx([1.0, 0.0, 0.0], abs=1e-6)
    assert coefficients(runs, fine)[0] == pytest.approx([1.0, 0.3, 0.1], abs=1e-6)
    assert again == coarse
    assert coarse.variant.digest != fine.variant.digest
    assert (coarse.variant.options, fine.variant.options) == ({"decimals": 0}, {"decimals": 1})
    # and what was kept for other runs is what those options make
    (kept,) = precise({"decimals": 1})
    assert runs.said == ["preparing the dataset"]
    assert kept == fine


def test_a_conversion_gets_the_calibration_split_and_is_made_again_for_another(runs, precise):
    (prepared,) = precise({"decimals": 1, "shift": 0.25})
    assert coefficients(runs, prepared)[1] == pytest.approx(0.5 + 2.0 * 0.25, abs=1e-5)
    np.savez(runs.folder / "calibration.npz", features=np.full((6, 3), 4.0, np.float32))
    (again,) = precise({"decimals": 1, "shift": 0.25})
    assert "converting m: onnx.fp32-to-onnx.rounded" in runs.said
    assert coefficients(runs, again)[1] == pytest.approx(0.5 + 4.0 * 0.25, abs=1e-5)


def test_a_failed_step_is_named(precise):
    (prepared,) = precise({"decimals": 1}, calibration=False)
    assert (prepared.status, prepared.failure) == ("failed", "load_error")
    assert prepared.why == "conversion onnx.fp32-to-onnx.rounded: no calibration rows"


def test_an_option_that_no_step_takes_is_refused(precise):
    prepared = precise({"decimals": 1, "zeal": 3})
    target = Target(name="t", description="d", runtime="onnxruntime", conversion={"decimals": 1, "zeal": 3})
    with pytest.raises(SpecError, match=r"conversion\.zeal: no option of sklearn-to-onnx, onnx\.fp32-to-onnx\.rounded"):
        refuse_unused_options(target, prepared)


def test_a_precision_that_nothing_makes_is_skipped_with_its_reason(precise):
    (prepared,) = precise({}, precision="int4")
    assert prepared.status == "skipped"
    said = "onnxruntime loads onnx in int4; no conversion leads there from sklearn (fp32) (did you mean 'int8'?)"
    assert prepared.why == said
