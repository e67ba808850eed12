"""A candidate in fp32 and in a lower precision, in one run: agreement, the paired difference, notes."""

from __future__ import annotations

import shutil

import msgspec
import numpy as np
import pytest

from harness.analyse.notes import notes_of
from harness.analyse.reader import open_run
from harness.evidence.files import save_array, write_json
from harness.evidence.run import Prepared, PreparedCell, RaceRecord, read_run
from harness.pipeline.conclude import conclude
from harness.report.cells import columns
from harness.score.explain import explain
from harness.spec.diagnostics import diagnostic
from harness.spec.outcome import Launched
from harness.spec.policy import Limit, Objective, Policy
from harness.spec.variant import ParityReport, Variant

from . import handwritten

LABELS = np.arange(200) % 4
POLICY = Policy(
    limits={"accuracy": Limit(min=0.95)}, objectives={"latency_p50_ms": Objective(weight=1, target=0.1, limit=100)}
)
PARITY = ParityReport(rows=64, max_abs_diff=0.5, top1_agreement=0.75)


def scores(wrong=()):
    """One-hot scores that are right but for these rows."""
    classes = LABELS.copy()
    classes[list(wrong)] += 1
    return np.eye(4, dtype=np.float32)[classes % 4]


@pytest.fixture
def run(tmp_path):
    """A run of `net` on `box` (fp32) and on other targets: name → (precision, rows that it gets wrong).

    `predict` makes predictions of what is wrong.
    """

    def call(others, full=(), task="classification", predict=scores):
        folder = handwritten.run_folder(tmp_path, "net", policy=POLICY)
        wrong = {"box": ("fp32", full), **others}
        for number in range(3):
            handwritten.trial(folder, "net", number, {"interactive": [1.0] * 50})
        handwritten.cold(folder, "net", 1, predict(full))
        for name, (_, rows) in others.items():
            shutil.copytree(folder / "cells" / "net@box", folder / "cells" / f"net@{name}")
            handwritten.block(folder, 0, 1.0)
            save_array(folder / "cells" / f"net@{name}" / "cold-01" / "predictions.npy", predict(rows))
        record = read_run(folder)
        targets = tuple(msgspec.structs.replace(record.targets[0], name=name) for name in wrong)
        candidates = tuple(msgspec.structs.replace(each, task=task) for each in record.suite.candidate)
        suite = msgspec.structs.replace(record.suite, candidate=candidates, targets=tuple(wrong))
        write_json(folder / "run.json", msgspec.structs.replace(record, targets=targets, suite=suite))
        save_array(folder / "prepare" / "dataset" / "evaluation" / "labels.npy", LABELS)
        cells = {
            f"net@{name}": PreparedCell(
                status="ok",
                variant=Variant(format="onnx", precision=precision, bytes=1 << 20, parity=PARITY),
                notes=() if precision == "fp32" else (diagnostic("calibration_missing", "int8 is dynamic"),),
            )
            for name, (precision, _) in wrong.items()
        }
        write_json(folder / "prepare.json", Prepared(cells=cells, dataset="prepare/dataset"))
        return folder

    return call


def rows_of(folder):
    return {row.target: row for row in conclude(folder).ranking.rows}


def against(row):
    return [reason for reason in row.reasons if reason.code == "against_fp32"]


def test_the_difference_to_fp32_is_paired_by_row_and_told_with_its_interval(run):
    rows = rows_of(run({"small": ("int8", (0, 1, 2, 3, 4))}, full=(4,)))
    (said,) = against(rows["small"])
    assert said.message == "accuracy 0.02 below fp32 [-0.00381, 0.0434], paired over 200 rows with net@box"
    assert said.subject == "net@small" and said.severity == "info"
    assert said.data["difference"] == pytest.approx(-0.02)
    assert (said.data["metric"], said.data["rows"], said.data["row"]) == ("accuracy", 200, "net@box")
    assert against(rows["box"]) == []


def test_more_accurate_and_as_accurate_are_said_so(run):
    rows = rows_of(run({"up": ("int8", ()), "same": ("fp16", (9,))}, full=(9,)))
    assert against(rows["up"])[0].message.startswith("accuracy 0.005 above fp32 [-0.0118, 0.0217], paired")
    assert against(rows["same"])[0].message.startswith("accuracy equal to fp32 [-0.0137, 0.0137], paired")


def test_agreement_with_fp32_is_over_the_rows_of_the_dataset(run):
    rows = rows_of(run({"small": ("int8", (0, 1, 2))}))
    agreement = rows["small"].metrics["fp32_agreement"]
    assert (agreement.value, agreement.n, agreement.basis) == (pytest.approx(0.985), 200, "rows")
    assert agreement.low < 0.985 < agreement.high
    own = rows["box"].metrics["fp32_agreement"]
    assert (own.value, own.basis) == (1.0, "exact"), "so that a limit on it does not shut fp32 out"


def test_without_a_row_in_fp32_it_is_that_of_the_rows_compared_after_converting(run):
    folder = run({"small": ("int8", ())})
    prepared = open_run(folder).prepared
    skipped = PreparedCell(status="skipped", why="not here")
    write_json(folder / "prepare.json", msgspec.structs.replace(prepared, cells={**prepared.cells, "net@box": skipped}))
    row = rows_of(folder)["small"]
    agreement = row.metrics["fp32_agreement"]
    assert (agreement.value, agreement.n) == (0.75, 64) and agreement.low < 0.75 < agreement.high
    assert against(row) == []


def test_a_run_in_fp32_alone_has_no_such_metric(run):
    (row,) = rows_of(run({})).values()
    assert "fp32_agreement" not in row.metrics


def test_the_table_shows_agreement_and_size_only_where_a_row_has_lower_precision(run):
    ranked = conclude(run({"small": ("int8", (0,))}))
    assert columns(ranked.ranking, POLICY)[:4] == ["latency_p50_ms", "accuracy", "fp32_agreement", "artefact_mib"]


def test_what_the_conversion_noted_is_said_of_the_row(run):
    ranked = conclude(run({"small": ("int8", ())}))
    row = next(row for row in ranked.ranking.rows if row.target == "small")
    (note,) = (reason for reason in row.reasons if reason.code == "calibration_missing")
    assert (note.subject, note.message) == ("net@small", "int8 is dynamic")
    assert any("paired over 200 rows" in line for line in explain(ranked.ranking, POLICY, row))


def test_a_regressor_is_compared_by_its_error(run):
    numbers = LABELS[:, None].astype(np.float32)
    folder = run({"small": ("int8", 0.3)}, 0.1, "regression", lambda error: numbers + np.float32(error))
    ranked = conclude(folder, Policy(objectives=POLICY.objectives))
    row = next(row for row in ranked.ranking.rows if row.target == "small")
    (said,) = against(row)
    assert said.message == "RMSE 0.2 above fp32 [0.2, 0.2], paired over 200 rows with net@box"
    assert "artefact_mib" in columns(ranked.ranking, ranked.policy)


def instructions(folder, *facts):
    """Return the note on instructions of a run whose trials ran on hosts with these."""
    for number, fact in enumerate(facts, 1):
        outcome = folder / "cells" / "net@box" / f"trial-0{number}" / "outcome.json"
        made = msgspec.json.decode(outcome.read_bytes())
        made["launched"] = msgspec.to_builtins(Launched(launcher="process", wall_ns=1, host={"instructions": fact}))
        outcome.write_bytes(msgspec.json.encode(made))
    notes = notes_of(open_run(folder), RaceRecord(), None)
    return [(note.message, note.data) for note in notes if note.code == "instructions"]


def test_one_note_names_the_instructions_that_int8_had(run):
    ((text, data),) = instructions(run({"small": ("int8", ())}), "avx2 avx512_vnni", "avx2 avx512_vnni")
    assert text == "int8 ran on CPUs with avx2, avx512_vnni"
    assert data["dot_product"] is True


def test_a_cpu_without_a_dot_product_is_told_what_to_do_about_it(run):
    ((text, data),) = instructions(run({"small": ("int8", ())}), "avx2", "")
    assert text.startswith("int8 ran on CPUs with avx2 / no instructions for it; without an int8 dot product, sums may")
    assert "conversion.reduce_range = true" in text and data["dot_product"] is False


@pytest.mark.parametrize(("others", "fact"), [({"half": ("fp16", ())}, "avx2"), ({"small": ("int8", ())}, None)])
def test_without_int8_or_without_knowing_nothing_is_said(run, others, fact):
    assert instructions(run(others), fact) == []
