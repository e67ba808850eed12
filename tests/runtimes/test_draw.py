"""Drawn inputs: whatever is chosen for an input can be written down, read back and held by its dtype."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.runtimes.base import Hint, Tensor
from harness.runtimes.draw import draw, plausible, rows_that_fit
from harness.spec.synthetic import DTYPES, read_line

NAMES = ["x", "sr", "mask", "lengths", "image", "position_ids", "token_type_ids", "state", "threshold", "speed_max"]
ROWS = [(), (1,), (2,), (7,), (3, 32, 32), (1, 5000)]


@given(
    st.sampled_from(NAMES),
    st.sampled_from(DTYPES),
    st.sampled_from(ROWS),
    st.sampled_from([None, 1, 30_000]),
    st.sampled_from(["", "image", "signal", "ids"]),
)
def test_what_is_chosen_can_be_said_and_held(name, dtype, row, below, kind):
    tensor = Tensor(name, np.dtype(dtype), ("batch", *row))
    (chosen,) = plausible([tensor], {name: Hint(ids_below=below, kind=kind)})
    line = read_line(chosen.line)
    assert (line.dtype, line.values) == (dtype, chosen.values)
    (array,) = draw([chosen], 3, 0).values()
    assert (array.shape, array.dtype) == ((3, *row), np.dtype(dtype))
    if dtype != "object" and not chosen.values.kind:
        assert chosen.values.low <= array.min() and array.max() <= chosen.values.high


def test_a_sample_rate_does_not_wrap_round_in_a_byte():
    (chosen,) = plausible([Tensor("sr", np.dtype("int8"), ())], {})
    assert chosen.line == "scalar:int8:127"


@pytest.mark.parametrize(("mib", "rows"), [(1, 64), (8, 8), (65, 1)])
def test_rows_are_as_many_as_fit_into_64_mib_and_one_at_least(mib, rows):
    tensor = Tensor("x", np.dtype("uint8"), ("batch", mib << 20))
    assert rows_that_fit(plausible([tensor], {}), 64) == rows
