"""A suite in which int8 loses accuracy on purpose, through the whole pipeline: limits, reasons, notes, the report.

One hidden unit of the network is rarely a thousand times as active as the others, as units of large networks are. The
range from the smallest to the largest value then leaves the others three of 256 levels. Class k has input k as its
score.
"""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from harness.errors import SpecError
from harness.evidence.run import read_prepared
from harness.pipeline.conclude import RankedRun
from harness.pipeline.request import Request, open_new
from harness.report.markdown import report
from harness.score.explain import explain
from harness.selftest.inline import InlineLauncher
from harness.spec.policy import Limit

from .scripted import run

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

SUITE = """
description = "rare, huge activations"
targets = ["full", "small", "spared"]
[dataset]
path = "evaluation.npz"
calibration = { path = "CALIBRATION" }
[[candidate]]
name = "net"
path = "net.onnx"
[[scenario]]
name = "interactive"
kind = "single_stream"
seconds = 0.02
[budget]
seconds = 3
max_trials = 3
[policy.limits]
accuracy = { min = 0.95 }
[policy.objectives]
latency_p50_ms = { weight = 1, target = 0.01, limit = 100 }
"""
TARGETS = {
    "full": 'precision = "fp32"\n',
    "small": 'precision = "int8"\n',
    "spared": 'precision = "int8"\n[conversion]\ncalibration = "percentile"\npercentile = 99.9\n',
}


@pytest.fixture
def spiky(tmp_path, models, monkeypatch):
    """Write the suite; returns how to open a run of it."""
    weights = {"first": np.zeros((8, 64)), "bias": np.zeros(64), "second": np.eye(64, 4)}
    weights["first"][range(4), range(4)] = 1
    weights["first"][4, 4] = 1000
    models.perceptron(tmp_path / "net.onnx", {name: array.astype(np.float32) for name, array in weights.items()})
    rows = np.random.default_rng(11).random((800, 8)).astype(np.float32)
    rows[:, 4] = np.arange(800) % 200 >= 198  # one row in a hundred of each split
    labels = rows[:, :4].argmax(axis=1)
    np.savez(tmp_path / "evaluation.npz", x=rows[::2], labels=labels[::2])
    np.savez(tmp_path / "calibration.npz", x=rows[1::2])
    for name, text in TARGETS.items():
        (tmp_path / f"{name}.toml").write_text(f'description = "{name}"\nruntime = "onnxruntime"\n{text}')
    monkeypatch.chdir(tmp_path)

    def opened(calibration="calibration.npz"):
        text = SUITE.replace("CALIBRATION", calibration)
        text = text if calibration else text.replace('calibration = { path = "" }\n', "")
        (tmp_path / "spiky.toml").write_text(
            text.replace('"full", "small", "spared"', ", ".join(f'"{t}.toml"' for t in TARGETS))
        )
        return open_new(Request([str(tmp_path / "spiky.toml")], out=tmp_path / "results"))

    return opened


def rows_of(ranked: RankedRun):
    return {row.target: row for row in ranked.ranking.rows}


def test_int8_is_ruled_out_by_the_limit_on_accuracy_and_fp32_is_not(spiky):
    ranked = run(*spiky(), InlineLauncher())
    rows = rows_of(ranked)
    assert rows["full"].metrics["accuracy"].value == 1.0 and rows["full"].eligible
    assert rows["small"].metrics["accuracy"].value < 0.6 and rows["small"].place is None
    assert "limit_broken" in {reason.code for reason in rows["small"].reasons}
    assert rows["spared"].metrics["accuracy"].value > 0.97 and rows["spared"].place is not None
    assert rows["small"].metrics["fp32_agreement"].value == rows["small"].metrics["accuracy"].value
    (flag,) = [reason for reason in rows["small"].reasons if reason.code == "parity_missed"]
    assert flag.severity == "warning" and flag.message.endswith("; the policy's limits decide")
    assert "of 256 rows (at least 90.00 % is needed" in flag.message
    assert "parity_missed" not in {reason.code for reason in rows["spared"].reasons}

    told = explain(ranked.ranking, ranked.policy, rows["small"])
    (line,) = (line for line in told if line.startswith("accuracy 0.") and "below fp32 [" in line)
    assert line.endswith("paired over 400 rows with net@full")
    text = report(ranked)
    assert line in text
    assert "agreement with fp32 |" in text and "artefact size MiB |" in text
    assert "method = static, calibration = percentile, percentile = 99.9, calibration_rows = 256" in text
    assert [note.code for note in ranked.ranking.notes].count("instructions") <= 1


def test_without_a_limit_on_quality_a_variant_that_differs_too_much_fails(spiky, tmp_path):
    folder, record = spiky()
    limits = {"latency_p50_ms": Limit(max=100)}
    policy = msgspec.structs.replace(record.suite.policy, limits=limits)
    record = msgspec.structs.replace(record, suite=msgspec.structs.replace(record.suite, policy=policy))
    rows = rows_of(run(folder, record, InlineLauncher()))
    assert rows["small"].status == "failed" and rows["spared"].place is not None
    assert "at least 90.00 % is needed" in rows["small"].reasons[0].message


def test_one_conversion_is_made_for_each_set_of_options(spiky):
    folder, record = spiky()
    run(folder, record, InlineLauncher())
    cells = read_prepared(folder).cells
    assert len({cell.variant.digest for cell in cells.values()}) == 3
    assert cells["net@small"].variant.options["calibration"] == "minmax"  # a default, on record


def test_without_calibration_rows_the_row_says_that_it_is_dynamic(spiky):
    folder, record = spiky(calibration="")
    small = rows_of(run(folder, record, InlineLauncher()))["small"]
    (note,) = (reason for reason in small.reasons if reason.code == "calibration_missing")
    assert note.message.startswith("int8 is dynamic")
    assert read_prepared(folder).cells["net@small"].variant.options["method"] == "dynamic"


def test_the_rows_that_judge_may_not_calibrate(spiky):
    with pytest.raises(SpecError, match="the evaluation and calibration splits share 400 rows"):
        run(*spiky(calibration="evaluation.npz"), InlineLauncher())


def test_a_model_without_weights_is_skipped_where_int8_is_asked_for(spiky, tmp_path):
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 8]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "plain", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    rows = rows_of(run(*spiky(), InlineLauncher()))
    assert rows["full"].status != "failed"
    assert (rows["small"].status, rows["spared"].status) == ("skipped", "skipped")
    (reason, *_) = rows["small"].reasons
    assert "the model has no weights that can be int8: its operators are Relu" in reason.message
