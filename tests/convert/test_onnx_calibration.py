"""Ranges of activations from calibration rows: which rows, in what batches, and what outliers do to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.convert.base import Order
from harness.convert.calibration import BATCH, calibration_feeds
from harness.convert.onnx_int8 import OnnxToInt8
from harness.convert.onnx_weights import as_int8
from harness.runtimes.base import Tensor
from harness.spec.variant import Variant

onnxruntime = pytest.importorskip("onnxruntime")


def tensor(*shape, axis=0, name="x"):
    return Tensor(name, np.dtype("float32"), shape, axis)


@given(have=st.integers(1, 300), most=st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_rows_are_spread_evenly_over_the_split_and_none_counts_twice(have, most):
    arrays = {"x": np.arange(have, dtype=np.float32).reshape(-1, 1)}
    feeds, rows = calibration_feeds([tensor("batch", 1)], arrays, most)
    seen = np.concatenate([feed["x"][:, 0] for feed in feeds()])
    assert len(seen) == rows == min(have, most)
    assert seen[0] == 0 and (rows == 1 or seen[-1] == have - 1)
    gaps = np.diff(seen)
    assert rows == 1 or (gaps.min() >= 1 and gaps.max() - gaps.min() <= 1)
    assert all(len(feed["x"]) <= BATCH for feed in feeds())


def test_a_model_of_one_batch_size_is_calibrated_with_that(tmp_path):
    rows = {"x": np.arange(10, dtype=np.float32).reshape(-1, 1)}
    feeds, _ = calibration_feeds([tensor(4, 1)], rows, 10)
    assert [feed["x"].shape for feed in feeds()] == [(4, 1)] * 3


def test_inputs_without_rows_are_fed_whole_one_row_at_a_time():
    arrays = {"x": np.zeros((3, 5), np.float32), "state": np.arange(6, dtype=np.float32).reshape(3, 2)}
    feeds, _ = calibration_feeds([tensor("batch", 5), tensor(2, name="state")], arrays, 3)
    assert [(feed["x"].shape, feed["state"].tolist()) for feed in feeds()] == [
        ((1, 5), [0.0, 1.0]),
        ((1, 5), [2.0, 3.0]),
        ((1, 5), [4.0, 5.0]),
    ]


@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    size=st.sampled_from([0.0, 1e-44, 1e-30, 0.01, 1.0, 1e6]),
    seed=st.integers(0, 1000),
    data=st.data(),
)
@settings(max_examples=80, deadline=None)
def test_a_quantised_weight_is_at_most_half_a_step_away(shape, size, seed, data):
    array = (np.random.default_rng(seed).standard_normal(shape) * size).astype(np.float32)
    axis = data.draw(st.sampled_from([None, *range(len(shape))]))
    whole, scale = as_int8(array, axis)
    assert whole.dtype == np.int8 and scale.dtype == np.float32 and int(np.abs(whole.astype(int)).max()) <= 127
    step = scale if axis is None else scale.reshape([-1 if each == axis else 1 for each in range(array.ndim)])
    assert (np.abs(whole * step.astype(np.float64) - array) <= 0.501 * step + 1e-37).all()
    assert scale.shape == (() if axis is None else (shape[axis],))


@pytest.fixture
def spiky(tmp_path, models):
    """A perceptron one of whose hidden units is a thousand times as active as the others in one row of a hundred.

    Class k has input k as its score. Returns how often the int8 model's class is the right one, by its options.
    """
    weights = {"first": np.zeros((8, 64), np.float32), "bias": np.zeros(64, np.float32), "second": np.zeros((64, 4))}
    weights["first"][range(4), range(4)] = 1
    weights["first"][4, 4] = 1000
    weights["second"] = np.eye(64, 4, dtype=np.float32)
    path = models.perceptron(tmp_path / "spiky.onnx", weights)
    rng = np.random.default_rng(11)
    rows = rng.random((800, 8)).astype(np.float32)
    rows[:, 4] = np.arange(800) % 200 >= 198

    def call(**options):
        conversion = OnnxToInt8()
        order = Order({}, {**conversion.defaults, **options}, {"x": rows[::2]})
        folder = tmp_path / f"made-{len(options)}-{options.get('calibration')}"
        folder.mkdir()
        conversion.convert(conversion.load(Variant(format="onnx", path=str(path))), order, folder)
        (scores,) = onnxruntime.InferenceSession(str(folder / "model.onnx")).run(None, {"x": rows[1::2]})
        return float(np.mean(scores.argmax(axis=1) == rows[1::2, :4].argmax(axis=1)))

    return call


def test_outliers_ruin_the_range_of_all_and_a_percentile_leaves_them_out(spiky):
    whole, searched, spared = spiky(), spiky(calibration="entropy"), spiky(calibration="percentile", percentile=99.9)
    assert whole < 0.4 < searched < 0.8, "entropy can leave out seven eighths of the range, which is not enough here"
    assert spared > 0.95
