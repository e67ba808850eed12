from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness.spec.rows import as_json, from_json

_DTYPES = st.sampled_from(["float32", "float64", "float16", "int64", "uint8", "bool"])


@given(arrays.arrays(_DTYPES, arrays.array_shapes(max_dims=3, max_side=4)))
def test_numbers_survive_json(array):
    back = from_json(json.loads(json.dumps(as_json(array))))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5))
def test_text_survives_json(texts):
    for array in (np.array(texts), np.array(texts, dtype=object)):
        assert from_json(json.loads(json.dumps(as_json(array)))).tolist() == array.tolist()


def test_a_view_is_sent_as_it_looks():
    array = np.arange(12).reshape(3, 4).T[::2]
    np.testing.assert_array_equal(from_json(as_json(array)), array)


@pytest.mark.parametrize("table", [None, 3, [], {}, {"dtype": "f4"}, {"dtype": "f4", "shape": 1, "data": 5}])
def test_what_is_no_array_is_refused(table):
    with pytest.raises(ValueError):
        from_json(table)
