"""pytest-benchmark's JSON, read by `pytest-benchmark compare`; Bencher's, by its published schema."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_benchmark.stats import Stats

from harness.export.bencher import EXPORTER as BENCHER
from harness.export.pytest_benchmark import EXPORTER, stats


def test_pytest_benchmark_compares_what_is_written(source, tmp_path):
    for name in ("0001_before.json", "0002_after.json"):
        EXPORTER.export(source, str(tmp_path / name))
    command = [shutil.which("pytest-benchmark", path=f"{sys.prefix}/bin") or "pytest-benchmark", "compare"]
    files = [str(tmp_path / name) for name in ("0001_before.json", "0002_after.json")]
    done = subprocess.run([*command, *files, f"--csv={tmp_path}/x.csv"], capture_output=True, text=True, check=True)
    assert "2 tests" in done.stdout + done.stderr
    with (tmp_path / "x.csv").open() as file:
        rows = list(csv.DictReader(file))
    trials = source.reader.trials("quick@here")
    seconds = np.concatenate([np.asarray(trial.latencies("interactive")) for trial in trials]) / 1e9
    assert len(rows) == 2
    for row in rows:
        assert "quick@here" in row["name"]
        assert float(row["median"]) == pytest.approx(np.median(seconds))
        assert int(row["rounds"]) == len(seconds)


def test_the_percentiles_of_the_ranking_stand_beside(source, tmp_path):
    EXPORTER.export(source, str(tmp_path / "x.json"))
    (found,) = json.loads((tmp_path / "x.json").read_text())["benchmarks"]
    measure = next(r for r in source.ranked.ranking.rows if r.candidate == "quick").metrics["latency_p50_ms"]
    assert found["extra_info"]["latency_p50_ms"] == {
        "value": measure.value,
        "low": measure.low,
        "high": measure.high,
        "trials": measure.trials,
    }


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=60))
def test_statistics_are_those_of_pytest_benchmark(times):
    theirs, ours = Stats(), stats(np.array(times) / 1e9)
    for each in times:
        theirs.update(each / 1e9)
    for name in ("min", "max", "mean", "stddev", "median", "rounds", "total", "ops"):
        assert ours[name] == pytest.approx(getattr(theirs, name), rel=1e-6, abs=1e-15), name
    assert set(theirs.as_dict()) <= set(ours)


def test_bencher_metric_format_has_its_published_form(source, tmp_path):
    BENCHER.export(source, str(tmp_path / "x.json"))
    found = json.loads((tmp_path / "x.json").read_text())
    assert found.keys() == {"quick@here"}
    for name, values in found["quick@here"].items():
        assert 0 < len(name) <= 64
        assert "value" in values
        assert values.keys() <= {"value", "lower_value", "upper_value"}
        assert all(isinstance(value, int | float) for value in values.values())
        assert values.get("lower_value", values["value"]) <= values["value"] <= values.get("upper_value", np.inf)
