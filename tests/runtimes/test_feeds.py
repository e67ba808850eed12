"""From data to feeds: what is paired with what, what is refused and in which words."""

from __future__ import annotations

import numpy as np
import pytest

from harness.runtimes import feeds
from harness.runtimes.base import ModelError, OutputError, Tensor, main_output
from harness.runtimes.layout import settle_by

F32 = np.dtype("float32")
X = Tensor("x", F32, ("n", 3))
Y = Tensor("y", F32, ("n", 3))


def rows(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def test_one_input_and_one_array_are_paired_whatever_they_are_called() -> None:
    assert list(feeds.match([X], {"images": rows(5, 3)})) == ["x"]


def test_several_are_paired_by_name() -> None:
    paired = feeds.match([X, Y], {"y": rows(5, 3), "x": rows(5, 3) + 100, "unused": rows(5, 1)})
    assert (paired["x"][0, 0], paired["y"][0, 0]) == (100, 0)


@pytest.mark.parametrize(
    ("tensors", "arrays", "says"),
    [
        ([X, Y], {"x": rows(5, 3)}, "the model wants the input 'y', which the dataset lacks; it has x"),
        ([X, Y], {}, "the model wants the input 'x', which the dataset lacks; it has none"),
        ([X], {"a": rows(5, 4)}, "input 'x' wants shape [n, 3], the dataset gives [rows, 4]"),
        ([X], {"a": rows(5, 3, 1)}, "input 'x' wants shape [n, 3], the dataset gives [rows, 3, 1]"),
        ([X], {"a": rows(5)}, "input 'x' wants shape [n, 3], the dataset gives [rows]"),
        ([Tensor("x", np.dtype("int64"), ("n", 3))], {"a": rows(5, 3)}, "input 'x' wants int64, the dataset gives"),
    ],
)
def test_what_does_not_fit_is_said(tensors: list[Tensor], arrays: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(ModelError) as caught:
        feeds.match(tensors, arrays)
    assert says in str(caught.value)


def test_a_batch_wraps_round_and_has_the_models_dtype() -> None:
    feed = feeds.batch([X], {"x": rows(4, 3, dtype="float64")}, 3, 3)
    assert feed["x"].tolist() == [[9, 10, 11], [0, 1, 2], [3, 4, 5]]
    assert feed["x"].dtype == F32 and feed["x"].flags["C_CONTIGUOUS"]


@pytest.mark.parametrize("axis", [0, 1, None])
def test_pools_of_many_sizes_show_what_each_alone_would_and_share_their_rows(axis) -> None:
    other = Tensor("s", np.dtype("float32"), (2,) if axis is None else ("n", 2) if axis == 0 else (2, "n"), axis)
    arrays = {"x": rows(70, 3), "s": rows(70, 2)}
    found = feeds.pools([X, other], arrays, [*range(1, 33)], 64)
    for size, pool in found.items():
        alone = feeds.pool([X, other], arrays, size, 64)
        assert len(pool) == len(alone) and [*pool[0]] == ["x", "s"]
        for mine, theirs in zip(pool, alone, strict=True):
            assert all(np.array_equal(mine[name], theirs[name]) for name in theirs)
            assert all(array.flags.c_contiguous for array in mine.values())
    assert len({id(feed["x"].base) for pool in found.values() for feed in pool}) == 1


def test_the_pool_shows_different_rows_as_far_as_there_are_any() -> None:
    pool = feeds.pool([X], {"x": rows(10, 3)}, 4, 64)
    assert [feed["x"][0, 0] for feed in pool] == [0, 12]
    assert len(feeds.pool([X], {"x": rows(2, 3)}, 32, 64)) == 1
    assert len(feeds.pool([X], {"x": rows(100, 3)}, 1, 64)) == 64


def test_rows_go_to_the_axis_that_carries_them_and_whole_inputs_stay_whole() -> None:
    state, rate = Tensor("state", F32, (2, "n", 3), axis=1), Tensor("sr", np.dtype("int64"), (), axis=None)
    arrays = {"x": rows(5, 3), "state": rows(5, 2, 3), "sr": np.full(5, 16000)}
    feed = feeds.batch([X, state, rate], arrays, 1, 2)
    assert (feed["x"].shape, feed["state"].shape, feed["sr"].shape) == ((2, 3), (2, 2, 3), ())
    assert (feed["state"][:, 1] == arrays["state"][2]).all()
    assert feed["state"].flags["C_CONTIGUOUS"]


@pytest.mark.parametrize(
    ("shape", "given", "axis"),
    [
        ((16000,), (5, 16000), None),
        ((2, 1, 3), (5, 2, 1, 3), None),
        (("time", 3), (5, 7, 3), None),
        (("s0",), (5,), 0),
        ((), (5,), None),
        (("n", 3), (5, 3), 0),
    ],
)
def test_a_dataset_shows_which_inputs_are_fed_whole(shape, given, axis) -> None:
    x = Tensor("x", F32, shape)
    arrays = feeds.match([x], {"x": rows(*given)})
    (laid,) = settle_by([x], arrays)
    assert laid.axis == axis
    whole = given[1:] if axis is None else (1, *given[1:])
    assert feeds.batch([laid], arrays, 0, 1)["x"].shape == whole


def test_a_batch_of_rows_is_not_taken_for_one_row() -> None:
    with pytest.raises(ModelError, match=r"wants shape \[n, 3\], the dataset gives \[rows, 7, 3\]"):
        feeds.match([X], {"x": rows(5, 7, 3)})


def test_the_output_that_counts() -> None:
    labels, scores = np.zeros(3, dtype="int64"), np.zeros((3, 2), dtype="float32")
    assert main_output([labels, scores], ["label", "scores"], None) is scores
    assert main_output([labels, scores], ["label", "scores"], "label") is labels
    assert main_output([labels], ["label"], None) is labels
    with pytest.raises(OutputError, match="no output 'score'; it has label, scores"):
        main_output([labels, scores], ["label", "scores"], "score")
