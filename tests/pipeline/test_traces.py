"""Recorded traffic: what is read, what is refused, with file and key, and what a run keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.errors import SpecError
from harness.evidence.run import TRACES
from harness.pipeline.request import Request, open_new
from harness.pipeline.traces import read_traces
from harness.scenarios.server import Server
from harness.spec.suite import Candidate, Suite


def suite(**fields: object) -> Suite:
    scenario = Server(**({"name": "load", "trace": "t.csv"} | fields))
    candidate = (Candidate(name="m", path="m.onnx"),)
    return Suite(description="", targets=("t",), candidate=candidate, scenario=(scenario,))


def read(folder: Path, text: str, **fields: object) -> tuple[float, list[float]]:
    """Return a trace's mean rate, and its offsets in ms."""
    (folder / "t.csv").write_text(text)
    found, traces = read_traces(suite(**fields), "suite.toml", folder)
    return found.scenario[0].rate_per_s, (traces["load"] / 1e6).tolist()


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("timestamp\n1700000000.5\n1700000000.75\n1700000001.5\n", {}),
        ("whatever\n0\n0.25\n1\n", {}),
        ("user,time,bytes\na,0,1\nb,0.25,3\nc,1,3\n", {}),
        ("x,y\n0,0\n1,250\n2,1000\n", {"trace_column": "y", "trace_unit": "ms"}),
        ("ts\n1700000000000000000\n1700000000250000000\n1700000001000000000\n", {"trace_unit": "ns"}),
        ("timestamp\n2026-01-01T00:00:00\n2026-01-01T00:00:00.250\n2026-01-01T00:00:01\n", {}),
        ("timestamp\n2026-01-01 00:00:00Z\n2026-01-01 00:00:00.25Z\n2026-01-01 00:00:01Z\n", {}),
    ],
)
def test_timestamps_are_numbers_or_dates_of_a_column(tmp_path: Path, text: str, fields: dict[str, object]) -> None:
    rate, offsets = read(tmp_path, text, **fields)
    assert offsets == pytest.approx([0, 250, 1000], abs=1e-3) and rate == pytest.approx(2.0)


def test_a_rate_scales_the_trace(tmp_path: Path) -> None:
    rate, offsets = read(tmp_path, "t\n0\n1\n4\n", rate_per_s=50.0)
    assert (rate, offsets) == (50.0, [0, 1000, 4000]), "it is scaled where it is replayed"


def test_parquet_is_read_too(tmp_path: Path) -> None:
    stamps = pd.date_range("2026-01-01", periods=4, freq="100ms")
    pd.DataFrame({"timestamp": stamps, "other": [1, 2, 3, 4]}).to_parquet(tmp_path / "t.parquet")
    found, traces = read_traces(suite(trace="t.parquet"), "suite.toml", tmp_path)
    assert traces["load"].tolist() == [0, 10**8, 2 * 10**8, 3 * 10**8]
    assert found.scenario[0].rate_per_s == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("text", "fields", "what"),
    [
        ("", {}, "scenario[0].trace: {path} is empty"),
        ("timestamp\n", {}, "scenario[0].trace: {path} has no rows"),
        ("timestamp\n1\n3\n2\n", {}, "column 'timestamp': timestamps are not sorted: number 3 is before number 2"),
        ("timestamp\n1\n\n2,\n", {}, "scenario[0].trace"),
        ("timestamp,b\n1,2\n,3\n", {}, "column 'timestamp': row 2 has no timestamp"),
        ("timestamp\n1\ninf\n", {}, "column 'timestamp': row 2 is not a finite number"),
        ("timestamp\nyesterday\ntoday or so\n", {}, "scenario[0].trace: {path}: column 'timestamp'"),
        ("a,b\n1,2\n", {}, "scenario[0].trace_column: missing; {path} has 2 columns"),
        ("time,b\n1,2\n", {"trace_column": "tme"}, "scenario[0].trace_column: {path} has no column 'tme'"),
    ],
)
def test_a_trace_that_is_none_is_refused(tmp_path: Path, text: str, fields: dict[str, object], what: str) -> None:
    with pytest.raises(SpecError) as refused:
        read(tmp_path, text, **fields)
    assert str(refused.value).startswith("suite.toml: ")
    assert what.format(path=tmp_path / "t.csv") in str(refused.value)


def test_bytes_that_are_no_table_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(SpecError, match=r"trace: .*t\.parquet cannot be read"):
        read_traces(suite(trace="t.parquet"), "suite.toml", tmp_path)


def test_a_run_keeps_its_traces(suite, tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text("t\n" + "\n".join(f"{i / 100}" for i in range(500)) + "\n")
    load = '[[scenario]]\nname = "load"\nkind = "server"\ntrace = "calls.csv"\n'
    folder, record = suite({"m": 1.0}, scenarios=load)
    assert np.load(folder / TRACES / "load.npy").tolist() == [10_000_000 * i for i in range(500)]
    assert record.suite.scenario[0].rate_per_s == pytest.approx(100.0)
    (tmp_path / "calls.csv").unlink()
    with pytest.raises(SpecError, match=r"scenario\[0\]\.trace: no such file: .*calls\.csv"):
        open_new(Request([str(tmp_path / "fakes.toml")], out=tmp_path / "results"))
