"""The history of many runs: one query, by row and metric; what is damaged is left out and named."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("duckdb")
from harness.analyse.frames import COLUMNS
from harness.analyse.history import history
from harness.errors import SpecError
from harness.report.trends import history_table, sparkline, write_plot

METRICS = {"latency_p50_ms": ("interactive", "ms"), "memory_peak_mib": (None, "MiB"), "accuracy": (None, "")}


def runs(root: Path, levels: list[float], suite: str = "nightly", host: str = "X", noise: float = 0.01) -> list[Path]:
    """Write the derived files of a run a day with these levels of p50, at two rows; the second one stays as it is."""
    rng, begin, made = np.random.default_rng(1), datetime(2026, 1, 1), []
    for day, level in enumerate(levels):
        folder = root / f"{begin + timedelta(days=day):%Y%m%dT%H%M%SZ}-{suite}-{day:06x}"
        (folder / "cells/a@cpu/cold-01").mkdir(parents=True)
        outcome = {"status": "ok", "launched": {"host": {"cpu": host, "affinity": 4}}}
        (folder / "cells/a@cpu/cold-01/outcome.json").write_text(json.dumps(outcome))
        (folder / "run.json").write_text("{}")
        rows = [
            (row, "cpu", scenario, metric, (level if row == "a" else 1.0) * np.exp(rng.normal(0, noise)))
            for row in ("a", "b")
            for metric, (scenario, _) in METRICS.items()
        ]
        table = pd.DataFrame(rows, columns=[*COLUMNS[:5]]).reindex(columns=[*COLUMNS])
        table.to_parquet(folder / "measurements.parquet", index=False)
        made.append(folder)
    return made


def series(found, row="a@cpu", metric="latency_p50_ms"):
    return [each for each in found.series if (each.row, each.metric) == (row, metric)]


def test_each_row_and_metric_is_a_series_in_time_order(tmp_path):
    runs(tmp_path, [1.0] * 20 + [1.06] * 20)
    found = history(tmp_path, "nightly")
    assert len(found.runs) == 40 and not found.damaged
    assert {(each.row, each.metric) for each in found.series} == {
        (row, metric) for row in ("a@cpu", "b@cpu") for metric in ("latency_p50_ms", "memory_peak_mib")
    }
    (moved,), (still,) = series(found), series(found, "b@cpu")
    assert [run.time for run in moved.runs] == sorted(run.time for run in moved.runs)
    assert moved.trend.since == pytest.approx(20, abs=1) and moved.trend.noise == pytest.approx(0.01, rel=0.5)
    assert moved.trend.shifts[0].change == pytest.approx(0.06, abs=0.01) and not still.trend.shifts


def test_suites_metrics_and_rows_are_chosen(tmp_path):
    runs(tmp_path, [1.0] * 3)
    runs(tmp_path, [2.0] * 3, suite="my-suite-2")
    assert {each.suite for each in history(tmp_path).series} == {"nightly", "my-suite-2"}
    found = history(tmp_path, "my-suite-2", ["accuracy"], "b@")
    assert [(each.suite, each.row, each.metric) for each in found.series] == [("my-suite-2", "b@cpu", "accuracy")]


def test_hosts_are_kept_apart(tmp_path):
    runs(tmp_path, [1.0] * 10)
    runs(tmp_path / "other", [2.0] * 10, host="Y")
    for folder in (tmp_path / "other").iterdir():
        folder.rename(tmp_path / folder.name.replace("-0000", "-ff00"))
    found = history(tmp_path)
    assert sorted(each.host for each in series(found)) == ["X × 4", "Y × 4"]
    assert not any(each.trend.shifts for each in found.series)


def test_a_file_that_was_cut_off_is_left_out_and_named(tmp_path):
    made = runs(tmp_path, [1.0] * 5)
    path = made[2] / "measurements.parquet"
    path.write_bytes(path.read_bytes()[:200])
    (made[3] / "measurements.parquet").write_bytes(b"")
    found = history(tmp_path)
    assert len(found.runs) == 3 and [each.parent for each in found.damaged] == made[2:4]
    assert "damaged" in said(found)
    path.write_bytes(b"PAR1" + bytes(200) + b"PAR1")  # whole, as far as its ends tell
    found = history(tmp_path)
    assert len(found.runs) == 3 and {each.parent for each in found.damaged} == {*made[2:4]}


@pytest.mark.parametrize(
    ("suite", "text"),
    [("nigthly", "no runs of suite 'nigthly' .suites with runs: nightly.")],
)
def test_a_suite_without_runs_is_named(tmp_path, suite, text):
    runs(tmp_path, [1.0])
    with pytest.raises(SpecError, match=text):
        history(tmp_path, suite)
    with pytest.raises(SpecError, match=r"no runs that were ranked .measure one"):
        history(tmp_path / "nothing")


def said(found) -> str:
    from rich.console import Console

    text = StringIO()
    Console(width=200, file=text).print(history_table(found))
    return text.getvalue()


def test_what_got_worse_comes_first(tmp_path):
    runs(tmp_path, [1.0] * 20 + [1.1] * 20)
    lines = said(history(tmp_path)).splitlines()
    first = next(line for line in lines if "@cpu" in line)
    assert first.startswith(" a@cpu") and ("+10." in first or "+9." in first) and "2026-01-" in first


def test_a_sparkline_is_flat_where_nothing_moves():
    assert set(sparkline([1.0, 1.001, 1.0])) == {"▁"}
    assert sparkline([1.0, 2.0, 4.0]) == "▁▅█" and sparkline([]) == ""


def test_the_plot_is_a_file(tmp_path):
    pytest.importorskip("matplotlib")
    runs(tmp_path, [1.0] * 20 + [1.1] * 20)
    found = history(tmp_path)
    write_plot(tmp_path / "trend.svg", found)
    assert "a@cpu" in (tmp_path / "trend.svg").read_text() or (tmp_path / "trend.svg").stat().st_size > 10_000
    with pytest.raises(SpecError, match="--plot"):
        write_plot(tmp_path / "trend.xyz", found)
