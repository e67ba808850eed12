"""Which axis carries rows: signatures of real models, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from harness.runtimes.base import Hint, Tensor
from harness.runtimes.layout import fixed_batch, most_rows, settle

F32, I64 = np.dtype("float32"), np.dtype("int64")


def tensors(**shapes: tuple[int | str, ...]) -> list[Tensor]:
    return [Tensor(name, I64 if name in ("sr", "lens") else F32, shape) for name, shape in shapes.items()]


@pytest.mark.parametrize(
    ("inputs", "axes", "fixed"),
    [
        (tensors(x=("batch", 3)), [0], None),
        (tensors(x=("n", 3)), [0], None),
        (tensors(x=("unk__7", 2048)), [0], None),
        (tensors(x=(4, 3)), [0], 4),
        (tensors(image=("image_0", 3, "image_2", "image_3")), [0], None),
        (tensors(x=("seq", "batch", 3)), [1], None),
        # a state whose batch is unnamed and not in front; a rate that is a scalar
        (tensors(input=("input_0", "input_1"), state=(2, "state_1", 128), sr=()), [0, 1, None], None),
        (tensors(input=("batch", "sequence"), state=(2, "batch", 128)), [0, 1], None),
        (tensors(sr=(), state=(2, "batch", 128), input=("batch", "sequence")), [None, 1, 0], None),
        (tensors(input=(1, 576), state=(2, 1, 128)), [0, 1], 1),
        (tensors(input=(4, 576), state=(2, 4, 128)), [0, 1], 4),
        (tensors(x=("batch", 5), h=(1, 1, 128)), [0, 0], 1),
        (tensors(waveforms=("batch_size", "N"), lens=("batch_size",)), [0, 0], None),
        # no batch at all
        (tensors(x=(16000,)), [None], 1),
        (tensors(x=("samples",)), [None], 1),
        (tensors(x=()), [None], 1),
        (tensors(x=(3, 224, 224)), [None], 1),
        (tensors(x=(3, "height", "width")), [None], 1),
        (tensors(x=("seq_len", 576), h=(1, 1, 128)), [None, None], 1),
        (tensors(x=("batch", 4), anchors=(100, 4)), [0, None], None),
        (tensors(x=("batch*heads", "batch", 4)), [1], None),
    ],
)
def test_the_axis_of_rows(inputs, axes, fixed) -> None:
    laid = settle(inputs)
    assert [tensor.axis for tensor in laid] == axes
    assert [tensor.name for tensor in laid] == [tensor.name for tensor in inputs]
    assert fixed_batch(laid) == fixed


def test_a_recurrent_operator_tells_its_batch() -> None:
    (x,) = settle(tensors(x=("x_0", "x_1", 8)), {"x": Hint(batch=1)})
    assert x.axis == 1


def test_the_tightest_bound_on_rows_counts_and_survives_the_layout():
    inputs = [Tensor(name, F32, ("batch", 3), most=most) for name, most in (("x", 64), ("y", 8), ("z", None))]
    assert most_rows(inputs) == most_rows(settle(inputs)) == 8
    assert most_rows(inputs[2:]) is None and fixed_batch(inputs) is None
