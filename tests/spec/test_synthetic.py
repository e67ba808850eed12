"""Inputs as they are typed: read back as they are written, mistakes with what to write instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import SpecError
from harness.spec import toml
from harness.spec.suite import Dataset
from harness.spec.synthetic import NORMAL, TEXT, InputLine, Synthetic, Values, read_line, settled

NUMBERS = st.integers(-(10**6), 10**6).map(float)
VALUES = st.one_of(
    st.sampled_from([Values(NORMAL), Values(TEXT)]),
    st.tuples(NUMBERS, NUMBERS).map(lambda ends: Values("", min(ends), max(ends))),
)
SIZES = st.lists(st.integers(0, 5000), max_size=5).flatmap(
    lambda sizes: st.sampled_from([tuple(sizes), ("N", *sizes), (*sizes, "N")])
)


@given(SIZES, st.sampled_from(["float32", "float64", "int32", "int64"]), VALUES)
def test_what_is_written_is_read_back(shape, dtype, values) -> None:
    dtype = {TEXT: "object", NORMAL: "float32"}.get(values.kind, dtype)
    for line in (InputLine(shape), InputLine(shape, dtype), InputLine(shape, dtype, values)):
        assert read_line(str(line)) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1x3x320x320:float32", InputLine((1, 3, 320, 320), "float32")),
        ("scalar:int64:16000", InputLine((), "int64", Values("", 16000, 16000))),
        ("Nx8::0..1", InputLine(("N", 8), None, Values("", 0, 1))),
        (":float32", InputLine((), "float32")),
    ],
)
def test_lines_as_they_are_typed(text, line) -> None:
    assert read_line(text) == line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1x3xheight", "'1x3xheight' is not an input (write SHAPE:DTYPE, such as 1x3x320x320:float32"),
        ("NxN", "'NxN' is not an input"),
        ("1,3,320", "'1,3,320' is not an input"),
        ("1x3:float", "'float' is not a dtype (float16, float32"),
        ("3:int64:5..1", "'5..1' is not a range of values (write 0..1, a single number, or normal)"),
    ],
)
def test_a_mistake_says_what_to_write(text, says) -> None:
    with pytest.raises(ValueError) as caught:
        read_line(text)
    assert says in str(caught.value)
    with pytest.raises(SpecError) as wrong:
        toml.decode({"synthetic": {"inputs": {"x": text}}}, Dataset, "s.toml")
    assert f"s.toml: synthetic: inputs.x: {says}" in str(wrong.value)


def test_what_was_chosen_is_said_outright() -> None:
    spec = Synthetic(rows=5, dims={"w": 3})
    assert settled(spec, ["a=b=Nx3:float32:normal"]) == Synthetic(5, {}, {"a=b": "Nx3:float32:normal"})
