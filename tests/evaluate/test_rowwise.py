"""Row-wise metrics: scores per row, their summary with weights, and a metric from a plug-in."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evaluate.rowwise import ACCURACY, OUTPUT_AGREEMENT, RMSE, metrics, summarise
from harness.pipeline.conclude import conclude
from harness.spec import plugins
from harness.spec.policy import Objective, Policy

RECORDED = Path(__file__).parents[1] / "recorded" / "scripted"
Z = 1.959963984540054
SCORES = np.array([[0.1, 2.0], [3.0, 1.0], [0.0, 1.0]])


def hits(successes, n):
    return (np.arange(n) < successes).astype(np.float64)


def test_scores_by_row_in_literal_numbers():
    assert ACCURACY.scores(SCORES, np.array([1, 1, 1])).tolist() == [True, False, True]
    assert OUTPUT_AGREEMENT.scores(SCORES, SCORES[::-1]).tolist() == [True, True, True]
    assert OUTPUT_AGREEMENT.scores(SCORES, np.roll(SCORES, 1, axis=0)).tolist() == [True, False, False]
    assert RMSE.scores(np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 2.0, 5.0])).tolist() == [0.0, 0.0, 4.0]
    assert RMSE.scores(np.array([[1.0, 2.0]]), np.array([[2.0, 5.0]])).tolist() == [5.0]  # (1 + 9) / 2
    assert RMSE.scores(np.uint8([[0]]), np.uint8([255])).tolist() == [65025.0]  # no wrap-around


def test_a_row_without_a_number_is_of_no_class_and_changes_no_other_row():
    broken = np.array([[math.nan, math.nan], [0.2, 0.8], [0.9, math.nan]])
    assert ACCURACY.scores(broken, np.array([0, 1, 1])).tolist() == [False, True, False]
    assert ACCURACY.scores(np.array([0.2, 0.7, math.nan]), np.array([0, 1, 0])).tolist() == [True, True, False]
    assert ACCURACY.scores(np.array([0.2, -0.7, math.nan]), np.array([1, 0, 0])).tolist() == [True, True, False]


def test_what_truth_is_and_for_which_task():
    assert set(metrics("classification")) >= {"accuracy", "output_agreement"}
    assert "rmse" not in metrics("classification")
    assert "rmse" in metrics("regression")
    assert not {"accuracy", "output_agreement"} & set(metrics("regression"))
    assert (ACCURACY.against, RMSE.against, OUTPUT_AGREEMENT.against) == ("labels", "labels", "reference")
    assert (ACCURACY.transform, RMSE.transform) == ("mean", "root")


def test_wilson_in_literal_numbers():
    # 81 of 263 at 95 %: 0.2553 to 0.3662 (Newcombe 1998, Statistics in Medicine 17, table I, method 3)
    found = summarise(hits(81, 263), None, "mean")
    assert (found.value, found.n) == (pytest.approx(0.3080, abs=5e-5), 263)
    assert (found.low, found.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))
    # 0 of 20: 0 to 0.1611 (same table)
    none = summarise(np.zeros(20), None, "mean")
    assert (none.value, none.low, none.high) == (0.0, 0.0, pytest.approx(0.1611, abs=5e-5))


@given(st.lists(st.booleans(), min_size=1, max_size=200), st.booleans())
def test_wilson_stays_in_bounds_and_never_claims_certainty(values, weighted):
    weights = np.arange(1, len(values) + 1) if weighted else None
    found = summarise(np.array(values, dtype=np.float64), weights, "mean")
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 0


def test_an_rmse_in_literal_numbers():
    # squared errors 0, 0, 4: mean 4/3, standard error sqrt(32/9 / 2) = 4/3
    found = summarise(np.array([0.0, 0.0, 4.0]), None, "root")
    assert (found.value, found.n) == (pytest.approx(math.sqrt(4 / 3)), 3)
    assert (found.low, found.high) == (0.0, pytest.approx(math.sqrt(4 / 3 * (1 + Z))))


def test_the_interval_of_an_rmse_covers_what_rows_vary():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        found = summarise(rng.standard_normal(200) ** 2, None, "root")
        covered += found.low <= 1.0 <= found.high
    assert 360 <= covered <= 395  # 95 % nominal; the normal interval of a skewed mean covers a little less


def test_zeros_and_ones_under_a_root_are_errors_and_not_hits():
    found = summarise(hits(1, 4), None, "root")
    assert found.value == 0.5
    se = math.sqrt((3 / 16) / 3)
    assert found.high == pytest.approx(math.sqrt(0.25 + Z * se))


def test_weights_count_rows_by_kishs_effective_number():
    # (3 + 1)² / (9 + 1) = 1.6 rows
    found = summarise(np.array([1.0, 0.0]), np.array([3.0, 1.0]), "mean")
    assert (found.value, found.n) == (0.75, 2)
    n, p = 1.6, 0.75
    centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    assert (found.low, found.high) == (pytest.approx(centre - half), pytest.approx(centre + half))


@pytest.mark.parametrize("transform", ["mean", "root"])
@pytest.mark.parametrize("scores", [hits(3, 8), np.array([0.0, 2.0, 5.0, 1.5, 3.0, 3.0, 0.5, 9.0])])
def test_equal_weights_change_nothing_and_rows_of_weight_zero_do_not_count(scores, transform):
    plain = summarise(scores, None, transform)
    assert summarise(scores, np.full(8, 7), transform) == pytest.approx(plain)
    padded = np.concatenate([scores, [1.0, 0.0]])
    assert summarise(padded, np.array([1.0] * 8 + [0.0] * 2), transform)[:3] == pytest.approx(plain[:3])


def test_uneven_weights_widen_the_interval():
    rng = np.random.default_rng(1)
    scores = rng.normal(5.0, 1.0, 100)
    plain = summarise(scores, None, "mean")
    uneven = summarise(scores, np.where(np.arange(100) < 10, 100.0, 1.0), "mean")
    assert uneven.high - uneven.low > 2 * (plain.high - plain.low)


PLUG_IN = """
import numpy as np
from harness.evaluate.rowwise import RowMetric
from harness.spec.metrics import Metric

MARGIN = RowMetric(
    Metric("margin", "points", "higher", "linear", "cell", "the highest score less the second highest"),
    ("classification",),
    lambda predictions, truth: np.diff(np.sort(predictions, axis=1)[:, -2:], axis=1)[:, 0],
)
"""
ENTRY_POINTS = """[harness.metrics]
margin = margin_plug_in:MARGIN
absent = margin_plug_in_that_is_not_there:METRIC
other = math:pi
"""


@pytest.fixture
def third_party(tmp_path, monkeypatch):
    """An installed distribution with a row-wise metric, and with two entries that are of no use."""
    site = tmp_path / "site"
    (site / "margin-1.dist-info").mkdir(parents=True)
    (site / "margin-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: margin\nVersion: 1\n")
    (site / "margin-1.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    (site / "margin_plug_in.py").write_text(PLUG_IN)
    monkeypatch.syspath_prepend(str(site))
    clear()
    yield
    clear()


def clear():
    plugins.names.cache_clear()
    plugins.load.cache_clear()


@pytest.mark.usefixtures("third_party")
def test_a_metric_of_a_third_party_is_found_beside_the_built_in_ones():
    assert set(metrics("classification")) == {"accuracy", "output_agreement", "fp32_agreement", "margin"}
    assert "margin" not in metrics("regression")


@pytest.mark.usefixtures("third_party")
def test_a_metric_of_a_third_party_is_measured_and_can_decide(tmp_path):
    folder = Path(shutil.copytree(RECORDED, tmp_path / "run"))
    policy = Policy(objectives={"margin": Objective(weight=1, target=1.0, limit=0.0)})
    rows = {row.candidate: row for row in conclude(folder, policy).ranking.rows}
    for name in ("quick", "slow"):
        predictions = np.load(folder / "cells" / f"{name}@box" / "trial-01" / "predictions.npy")
        ordered = np.sort(predictions, axis=1)
        margins = ordered[:, -1] - ordered[:, -2]
        found = rows[name].metrics["margin"]
        assert found.value == pytest.approx(margins.mean())
        assert (found.n, found.unit, found.basis) == (20, "points", "rows")
        assert rows[name].utilities["margin"] == pytest.approx(margins.mean())
        assert rows[name].place is not None
