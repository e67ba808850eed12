"""One candidate on three runtimes, the edge ones among them: converted, measured in real processes, and ranked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.evidence.folder import read_outcome
from harness.evidence.run import cold_folder, read_prepared
from harness.launch.process import ProcessLauncher
from harness.pipeline.request import Request, open_new
from harness.pipeline.run import run
from harness.suites import digits

for package in ("onnxruntime", "openvino", "executorch", "torch"):
    pytest.importorskip(package)

SUITE = f"""
description = "the edge"
targets = ["cpu-onnx-1t", "edge-openvino", "tiny.toml"]
[dataset]
builder = "harness.suites.digits.data:load"
calibration = {{ builder = "harness.suites.digits.data:train_split" }}
[[candidate]]
name = "mlp"
path = {json.dumps(str(Path(digits.__path__[0]) / "mlp.pt2"))}
[[scenario]]
name = "interactive"
kind = "single_stream"
seconds = 0.1
[budget]
seconds = 3
trials = 3
max_trials = 3
[policy.limits]
accuracy = {{ min = 0.9 }}
[policy.objectives]
latency_p50_ms = {{ weight = 1, target = 0.001, limit = 100 }}
"""
TINY = """
description = "ExecuTorch in int8, one row at a time"
runtime = "executorch"
precision = "int8"
[limits]
cpus = 1.0
memory_mib = 512
[options]
intra_op_threads = 1
[conversion]
max_batch = 1
"""
CELLS = ("mlp@cpu-onnx-1t", "mlp@edge-openvino", "mlp@tiny")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    base = tmp_path_factory.mktemp("edge")
    (base / "suite.toml").write_text(SUITE)
    (base / "tiny.toml").write_text(TINY)
    folder, record = open_new(Request(what=(str(base / "suite.toml"),), out=base / "out"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_LOCK", str(base / "lock"))
        return run(folder, record, places={"process": ProcessLauncher()})


def test_all_of_them_are_ranked(done):
    rows = {f"{row.candidate}@{row.target}": row for row in done.ranking.rows}
    assert set(rows) == set(CELLS)
    assert {row.status for row in rows.values()} <= {"measured", "undecided"}, [row.reasons for row in rows.values()]
    assert sorted(row.place for row in rows.values()) == [1, 2, 3]
    assert all(row.metrics["accuracy"].value > 0.9 for row in rows.values())


def test_the_variants_are_those_of_the_targets(done):
    cells = read_prepared(done.folder).cells
    assert [cells[name].variant.steps for name in CELLS] == [
        ("pt2-to-onnx",),
        ("pt2-to-onnx",),
        ("pt2.fp32-to-executorch.int8",),
    ]
    assert cells["mlp@tiny"].variant.options == {"max_batch": 1}
    assert cells["mlp@tiny"].variant.parity.top1_agreement > 0.97
    assert all(cells[name].forkable for name in CELLS)


def test_outcomes_record_threads_and_precision(done):
    told = {name: read_outcome(cold_folder(done.folder, name, 1)).settings for name in CELLS}
    assert told["mlp@edge-openvino"]["openvino.INFERENCE_PRECISION_HINT"] == "f32"
    assert told["mlp@edge-openvino"]["openvino.INFERENCE_NUM_THREADS"] == 1
    assert told["mlp@tiny"]["executorch.threads"] == 1
