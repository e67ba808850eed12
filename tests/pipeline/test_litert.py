"""A LiteRT model as it is, and quantised from it: converted, measured in real processes, and ranked."""

from __future__ import annotations

import numpy as np
import pytest

from harness.evidence.folder import read_outcome
from harness.evidence.run import cold_folder, read_prepared
from harness.launch.process import ProcessLauncher
from harness.pipeline.request import Request, open_new
from harness.pipeline.run import run

pytest.importorskip("ai_edge_litert")
pytest.importorskip("ai_edge_quantizer")

SUITE = """
description = "a device that runs LiteRT"
targets = ["edge-litert", "edge-litert-int8"]
[dataset]
path = "evaluation.npz"
calibration = { path = "calibration.npz" }
[[candidate]]
name = "net"
path = "net.tflite"
[[scenario]]
name = "interactive"
kind = "single_stream"
seconds = 0.05
[budget]
seconds = 2
trials = 2
max_trials = 2
[policy.limits]
accuracy = { min = 0.9 }
[policy.objectives]
latency_p50_ms = { weight = 1, target = 0.001, limit = 100 }
"""


@pytest.fixture
def done(tmp_path, tflite, models):
    weights = models.seeded(16, 64, 4)
    tflite.perceptron(tmp_path / "net.tflite", weights["first"], weights["second"])
    rows = np.random.default_rng(7).random((400, 16), np.float32)
    labels = (np.maximum(rows @ weights["first"], 0) @ weights["second"]).argmax(axis=1)
    np.savez(tmp_path / "evaluation.npz", x=rows[::2], labels=labels[::2])
    np.savez(tmp_path / "calibration.npz", x=rows[1::2])
    (tmp_path / "suite.toml").write_text(SUITE)
    folder, record = open_new(Request(what=(str(tmp_path / "suite.toml"),), out=tmp_path / "out"))
    return run(folder, record, places={"process": ProcessLauncher()})


def test_both_are_ranked_with_the_accuracy_of_their_own_variant(done):
    rows = {row.target: row for row in done.ranking.rows}
    assert sorted(row.place for row in rows.values()) == [1, 2], [row.reasons for row in rows.values()]
    assert rows["edge-litert"].metrics["accuracy"].value == 1.0
    assert 0.9 < rows["edge-litert-int8"].metrics["fp32_agreement"].value <= 1.0
    cells = read_prepared(done.folder).cells
    assert cells["net@edge-litert"].variant.steps == ()
    made = cells["net@edge-litert-int8"].variant
    assert (made.steps, made.precision) == (("litert.fp32-to-litert.int8",), "int8")
    assert made.options == {"method": "static", "calibration_rows": 200, "per_channel": True}
    assert made.parity.rows == 200 and made.parity.max_abs_diff > 0
    assert read_outcome(cold_folder(done.folder, "net@edge-litert", 1)).settings["litert.threads"] == 1
    assert all(cell.forkable for cell in cells.values())
