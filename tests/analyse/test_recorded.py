"""A run recorded by version 0.1.0 gives the ranking that version 0.1.0 derived from it, value by value."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from harness.pipeline.conclude import conclude

RECORDED = Path(__file__).parents[1] / "recorded"
EXPECTED = json.loads((RECORDED / "digits.expected.json").read_bytes())
TEXTS = {"reasons", "flags", "remarks"}
"""Fields that were prose and are diagnostics now."""


@pytest.fixture(scope="module")
def ranking(tmp_path_factory):
    """What this version writes into `ranking.json`."""
    folder = tmp_path_factory.mktemp("digits")
    with zipfile.ZipFile(RECORDED / "digits.zip") as file:
        file.extractall(folder)
    conclude(folder)
    return json.loads((folder / "ranking.json").read_bytes())


def test_the_rows_are_the_same_in_the_same_order(ranking):
    names = [(row["candidate"], row["target"]) for row in EXPECTED["rows"]]
    assert [(row["candidate"], row["target"]) for row in ranking["rows"]] == names
    assert len(names) == 8


@pytest.mark.parametrize("place", range(len(EXPECTED["rows"])))
def test_every_value_of_a_row_is_exactly_the_same(ranking, place):
    expected = {key: value for key, value in EXPECTED["rows"][place].items() if key not in TEXTS}
    found = {key: ranking["rows"][place].get(key, "absent") for key in expected}
    assert found == expected


def test_the_prose_of_that_version_has_become_codes(ranking):
    codes = {f"{r['candidate']}@{r['target']}": [d["code"] for d in r["reasons"]] for r in ranking["rows"]}
    assert codes["cnn-small@cpu-onnx-1t"][:2] == ["best_score", "tied"]
    assert codes["mlp@cpu-onnx-1t"][:3] == ["dropped", "tied", "dataset_limited"]
    assert codes["cnn-small@cpu-torch"][:2] == ["metric_unknown", "metric_unknown"]
    assert codes["broken@cpu-onnx-1t"] == ["failed"]
    assert codes["logistic@cpu-torch"] == ["skipped"]
    for old, new in zip(EXPECTED["rows"], ranking["rows"], strict=True):
        warned = [d["message"] for d in new["reasons"] if d["severity"] == "warning"]
        assert warned == old["flags"]
