"""Recorded arrivals of simulated users: read once, kept in the run's suite, refused with file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import SpecError
from harness.pipeline.traces import read_traces
from harness.scenarios.fleet import Users
from harness.scenarios.single_stream import SingleStream
from harness.spec.suite import Candidate, Suite


def suite(**fields: object) -> Suite:
    return Suite(
        description="d",
        targets=("t",),
        candidate=(Candidate(name="a", path="a.onnx"),),
        scenario=(SingleStream(name="warm"), Users(trace="calls.csv", **fields)),
    )


def read(folder: Path, text: str, **fields: object):
    (folder / "calls.csv").write_text(text)
    found, traces = read_traces(suite(**fields), str(folder / "s.toml"), folder)
    assert not traces, "nothing is replayed"
    return found.scenario[1]


@pytest.mark.parametrize(
    ("text", "fields", "at_s"),
    [
        ("10.5\n11\n13.5\n", {}, (0.0, 0.5, 3.0)),
        ("seconds,who\n1700000000,a\n1700000002,b\n\n", {}, (0.0, 2.0)),
        ("0\n0\n1e1\n", {}, (0.0, 0.0, 10.0)),
        ("who,at\na,5\nb,1505\n", {"trace_column": "at", "trace_unit": "ms"}, (0.0, 1.5)),
    ],
)
def test_timestamps_become_seconds_from_the_first_arrival(tmp_path, text, fields, at_s):
    found = read(tmp_path, text, **fields)
    assert found.at_s == at_s and found.problems() is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\nsoon\n2\n", "scenario[1].trace: {path}: column '0'"),
        ("", "scenario[1].trace: {path} is empty"),
        ("seconds\n", "scenario[1].trace: {path} has no rows"),
        ("3\n1\n", "timestamps are not sorted"),
        ("5\n5\n", "scenario[1].trace: calls.csv: needs two arrivals at least, sorted, and not all at once"),
        ("1\nnan\n2\n", "row 2 has no timestamp"),
    ],
)
def test_what_is_no_trace_is_one_message(tmp_path, text, said):
    with pytest.raises(SpecError) as raised:
        read(tmp_path, text)
    assert said.format(path=tmp_path / "calls.csv") in str(raised.value)
    assert str(tmp_path / "s.toml") in str(raised.value)


def test_a_trace_that_is_not_there_names_what_is(tmp_path):
    (tmp_path / "call.csv").write_text("1\n2\n")
    with pytest.raises(SpecError, match=r"scenario\[1\].trace: no such file: .*did you mean 'call.csv'"):
        read_traces(suite(), "s.toml", tmp_path)
