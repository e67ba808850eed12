"""Predictions and labels of a run that do not fit: quality is unknown and said so; the run is still ranked."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.analyse.reader import open_run
from harness.pipeline.conclude import conclude

TRIAL = "cells/{}@box/trial-0{}"
LABELS = "prepare/dataset/evaluation/labels.npy"


def predict(recorded, candidate, array, trials=(1, 2, 3)):
    """Replace a candidate's predictions, outcome and all."""
    for number in trials:
        folder = recorded / TRIAL.format(candidate, number)
        np.save(folder / "predictions.npy", array, allow_pickle=False)
        outcome = json.loads((folder / "outcome.json").read_text())
        outcome["files"]["predictions.npy"] = (folder / "predictions.npy").stat().st_size
        (folder / "outcome.json").write_text(json.dumps(outcome))


def entry(recorded, candidate):
    reader = open_run(recorded)
    return next(e for e in reader.entries(reader.record.suite.policy) if e.candidate == candidate)


@pytest.mark.parametrize(
    "array",
    [np.zeros((7, 4), np.float32), np.zeros((20, 3, 4), np.float32), np.array(["a"] * 20), np.zeros(1, np.float32)],
)
def test_predictions_that_do_not_fit_the_labels_leave_accuracy_unknown(recorded, array):
    predict(recorded, "slow", array, trials=(1, 2))
    slow = entry(recorded, "slow")
    assert "accuracy" not in slow.metrics
    assert "accuracy" not in slow.rows
    (said,) = [each for each in slow.diagnostics if each.code == "quality_unknown"]
    assert said.message.startswith("no quality is known: ")
    assert (said.severity, said.subject) == ("warning", "slow@box")
    assert "latency_p50_ms" in slow.metrics
    assert conclude(recorded).ranking.rows[0].candidate == "quick"


def test_predictions_of_the_reference_that_do_not_fit_leave_agreement_unknown(recorded):
    predict(recorded, "quick", np.zeros((7, 4), np.float32))
    slow = entry(recorded, "slow")
    assert slow.metrics["accuracy"].value == 1.0
    assert not {"output_agreement", "output_max_abs_diff"} & set(slow.metrics)


@pytest.mark.parametrize("labels", [np.eye(4)[np.arange(20) % 4], np.array(["a"] * 20), np.zeros(19)])
def test_labels_that_are_not_one_number_per_row_leave_accuracy_unknown(recorded, labels):
    np.save(recorded / LABELS, labels)
    quick = entry(recorded, "quick")
    assert "accuracy" not in quick.metrics
    assert quick.metrics["output_agreement"].value == 1.0


def test_without_labels_there_is_no_accuracy_and_no_warning(recorded):
    (recorded / LABELS).unlink()
    quick = entry(recorded, "quick")
    assert "accuracy" not in quick.metrics
    assert "quality_unknown" not in {each.code for each in quick.diagnostics}


def test_a_regressor_has_an_error_and_no_accuracy(recorded):
    record = json.loads((recorded / "run.json").read_text())
    for candidate in record["suite"]["candidate"]:
        candidate["task"] = "regression"
    (recorded / "run.json").write_text(json.dumps(record))
    predict(recorded, "quick", (np.arange(20) % 4 + 0.5).astype(np.float32)[:, None])
    quick = entry(recorded, "quick")
    assert (quick.metrics["rmse"].value, quick.metrics["rmse"].basis) == (0.5, "rows")
    assert (quick.metrics["rmse"].low, quick.metrics["rmse"].high) == (0.5, 0.5)  # every row is off by a half
    assert not {"accuracy", "output_agreement"} & set(quick.metrics)


def test_predictions_damaged_without_a_change_of_size_are_passed_over(recorded):
    for number in (1, 2):
        path = recorded / TRIAL.format("quick", number) / "predictions.npy"
        path.write_bytes(b"\0" * path.stat().st_size)
    reader = open_run(recorded)
    (quick, *_) = reader.entries(reader.record.suite.policy)
    assert quick.metrics["accuracy"].value == 0.9  # the third trial's
    lost = [note for note in reader.notes() if "quality is judged without it" in note.message]
    assert [note.code for note in lost] == ["evidence_damaged"] * 2
    assert "trial-01/predictions.npy: cannot be read" in lost[0].message


def test_weights_of_rows_count_in_accuracy_and_agreement(recorded):
    weights = np.ones(20)
    weights[:2] = 9.0  # the two rows that quick gets wrong, and in which slow differs from it: 18 of 36
    np.save((recorded / LABELS).with_name("weights.npy"), weights)
    quick, slow = entry(recorded, "quick"), entry(recorded, "slow")
    assert (quick.metrics["accuracy"].value, quick.metrics["accuracy"].n) == (0.5, 20)
    assert quick.rows["accuracy"].weights.tolist() == weights.tolist()
    assert slow.metrics["accuracy"].value == 1.0
    assert slow.metrics["output_agreement"].value == 0.5
