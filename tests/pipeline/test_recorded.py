"""Recorded arrivals: read once, kept in the run's suite, refused with file, key and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import SpecError
from harness.pipeline.recorded import with_recorded
from harness.scenarios.fleet import Users
from harness.scenarios.single_stream import SingleStream
from harness.spec.suite import Candidate, Suite


def suite():
    return Suite(
        description="d",
        targets=("t",),
        candidate=(Candidate(name="a", path="a.onnx"),),
        scenario=(SingleStream(name="warm"), Users(trace="calls.csv")),
    )


def read(folder: Path, text: str):
    (folder / "calls.csv").write_text(text)
    return with_recorded(suite(), folder / "s.toml").scenario[1]


@pytest.mark.parametrize(
    ("text", "at_s"),
    [
        ("10.5\n11\n13.5\n", (0.0, 0.5, 3.0)),
        ("seconds,who\n1700000000,a\n1700000002,b\n\n", (0.0, 2.0)),
        ("0 \n 0\n1e1\n", (0.0, 0.0, 10.0)),
    ],
)
def test_the_first_column_is_seconds_from_the_first_arrival(tmp_path, text, at_s):
    found = read(tmp_path, text)
    assert found.at_s == at_s and found.problems() is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\nsoon\n2\n", "scenario[1].trace: calls.csv: line 2: 'soon' is no number of seconds"),
        ("", "scenario[1].trace: calls.csv: needs two arrivals at least"),
        ("seconds\n", "scenario[1].trace: calls.csv: needs two arrivals at least"),
        ("3\n1\n", "needs two arrivals at least, sorted"),
        ("5\n5\n", "not all at once"),
        ("1\nnan\n2\n", "sorted"),
    ],
)
def test_what_is_no_trace_is_one_message(tmp_path, text, said):
    with pytest.raises(SpecError) as raised:
        read(tmp_path, text)
    assert said in str(raised.value) and str(tmp_path / "s.toml") in str(raised.value)


def test_a_trace_that_is_not_there_names_what_is(tmp_path):
    (tmp_path / "call.csv").write_text("1\n2\n")
    with pytest.raises(SpecError, match=r"scenario\[1\].trace: no such file: .*did you mean 'call.csv'"):
        with_recorded(suite(), tmp_path / "s.toml")
