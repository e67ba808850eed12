"""A run recorded by version 0.1.0 is still read, and gives what that version derived from it wherever nothing changed.

Three things changed on purpose since `digits.expected.json` was derived, and with them score, order and reasons:
- A percentile is that of all requests of a cell together; it was the geometric mean of the trials' percentiles. In
  `cnn-small@cpu-torch` the two largest of six trials stall: a p99 of 48 ms had been averaged to 7.5 ms.
- Cost is by batch sizes that were chosen on other blocks, and says where a batch size is not certain to keep the limit.
- Other work on the machine is a note of the run; it warned of four rows of five and said nothing of any.
Percentiles are held against numpy here, on the requests themselves; all other metrics against version 0.1.0.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from harness.pipeline.conclude import conclude
from harness.spec.metrics import PERCENTILES

RECORDED = Path(__file__).parents[1] / "recorded"
EXPECTED = json.loads((RECORDED / "digits.expected.json").read_bytes())
ROWS = {(row["candidate"], row["target"]): row for row in EXPECTED["rows"]}
MEASURED = [key for key, row in ROWS.items() if row["metrics"]]
CHANGED = {*PERCENTILES, "cost_per_million_usd"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("digits")
    with zipfile.ZipFile(RECORDED / "digits.zip") as file:
        file.extractall(made)
    return made


@pytest.fixture(scope="module")
def ranking(folder):
    """What this version writes into `ranking.json`."""
    conclude(folder)
    return json.loads((folder / "ranking.json").read_bytes())


@pytest.fixture
def row(ranking, cell):
    return next(row for row in ranking["rows"] if (row["candidate"], row["target"]) == cell)


def test_no_row_is_lost_and_none_is_new(ranking):
    assert {(row["candidate"], row["target"]) for row in ranking["rows"]} == set(ROWS)
    assert len(ranking["rows"]) == len(ROWS) == 8


@pytest.mark.parametrize("cell", ROWS)
def test_a_row_has_the_fate_it_had(row, cell):
    assert row["failure"] == ROWS[cell]["failure"]
    assert row["status"] in (ROWS[cell]["status"], "undecided")
    assert (row["place"] is None) == (row["status"] in ("failed", "skipped"))


@pytest.mark.parametrize("cell", MEASURED)
def test_every_metric_that_is_computed_as_before_is_exactly_the_same(row, cell):
    expected = {key: value for key, value in ROWS[cell]["metrics"].items() if key not in CHANGED}
    found = {key: {name: row["metrics"][key].get(name) for name in fields} for key, fields in expected.items()}
    assert found == expected
    assert len(expected) >= 13


@pytest.mark.parametrize("cell", MEASURED)
def test_a_percentile_is_that_of_all_requests(row, cell, folder):
    files = sorted((folder / "cells" / "@".join(cell)).glob("trial-*/requests/interactive/latency.npy"))
    ordered = np.sort(np.concatenate([np.load(file) for file in files]))
    for key, p in PERCENTILES.items():
        assert row["metrics"][key]["value"] == ordered[int(len(ordered) * p)] / 1e6
        assert (row["metrics"][key]["n"], row["metrics"][key]["trials"]) == (len(ordered), len(files))


def usd(row, key):
    return row["metrics"].get("cost_per_million_usd", {}).get(key)


@pytest.mark.parametrize("cell", [cell for cell in MEASURED if "cost_per_million_usd" in ROWS[cell]["metrics"]])
def test_a_cost_is_the_same_where_one_batch_size_is_the_fastest_in_every_block(row, cell):
    expected = ROWS[cell]["metrics"]["cost_per_million_usd"]
    if cell == ("mlp", "cpu-torch"):  # the fastest batch size changed from block to block, and with it 0.1.0's price
        assert usd(row, "value") > 2 * expected["value"]
        assert usd(row, "high") is None
    else:
        assert (usd(row, "value"), usd(row, "low")) == (expected["value"], expected["low"])


def test_the_prose_of_that_version_has_become_codes(ranking):
    codes = {f"{r['candidate']}@{r['target']}": [d["code"] for d in r["reasons"]] for r in ranking["rows"]}
    assert codes["cnn-small@cpu-onnx-1t"][0] == "best_score"
    assert codes["mlp@cpu-onnx-1t"][0] == "dropped"
    assert codes["cnn-small@cpu-torch"][0] == "undecided"  # its p99 was unknown; it was not eligible
    assert codes["broken@cpu-onnx-1t"] == ["failed"]
    assert codes["logistic@cpu-torch"] == ["skipped"]


def test_only_what_a_trial_itself_showed_is_a_warning(ranking):
    for new in ranking["rows"]:
        old = ROWS[new["candidate"], new["target"]]["flags"]
        warned = [d["message"] for d in new["reasons"] if d["severity"] == "warning"]
        assert warned == [flag for flag in old if not flag.startswith("other work")]
    (note,) = [note for note in ranking["notes"] if note["code"] == "host_noise"]
    assert note["severity"] == "info" and note["data"]["others"] > 0.25
