"""Guesses for models that nobody described: stand-ins that take one kind of input only, and say so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from harness.runtimes import feeds
from harness.runtimes.base import Hint, InputError, Tensor
from harness.runtimes.guess import Model, find
from harness.runtimes.layout import fixed_batch
from harness.spec.synthetic import Synthetic, settled

F32, I64 = np.dtype("float32"), np.dtype("int64")


class Picky:
    """A model that runs when `takes` agrees with its feed, and counts its calls."""

    def __init__(self, takes: Callable[..., bool], *inputs: Tensor, **hints: Hint) -> None:
        self.inputs, self.takes, self.hints, self.feeds = inputs, takes, hints, []

    def infer(self, feed):
        self.feeds.append(feed)
        if not self.takes(*feed.values()):
            raise RuntimeError("got an invalid shape\nand more")
        return [np.zeros((len(next(iter(feed.values()))) if next(iter(feed.values())).ndim else 1, 2))]

    def find(self, mark=lambda _: None, **spec):
        spec.setdefault("rows", 3)
        return find(Model(self.inputs, self.infer, lambda: self.hints), Synthetic(**spec), 0, mark)


def image(*shape: int | str) -> Tensor:
    return Tensor("images", F32, shape)


def test_a_signature_that_leaves_nothing_open_is_not_tried() -> None:
    model = Picky(lambda x: False, Tensor("x", F32, ("batch", 3)))
    found = model.find()
    assert (found.tried, model.feeds, found.lines) == (0, [], {"x": "Nx3:float32:normal"})


@pytest.mark.parametrize(
    ("shape", "takes", "line"),
    [
        (("batch", 3, "height", "width"), (3, 320, 320), "Nx3x320x320:float32:0..1"),
        (("b", 3, "b_2", "b_3"), (3, 640, 640), "Nx3x640x640:float32:0..1"),
        (("b", 3, "?", "w"), (3, 48, 320), "Nx3x48x320:float32:0..1"),
        (("b", "h", "w", 3), (224, 224, 3), "Nx224x224x3:float32:0..1"),
        (("b", "images_1", "images_2", "images_3"), (1, 256, 256), "Nx1x256x256:float32:0..1"),
        ((1, 1, 64, "image_width"), (1, 64, 320), "1x1x64x320:float32:0..1"),
        (("b", 3, 384, "width"), (3, 384, 384), "Nx3x384x384:float32:0..1"),
        ((3, "height", "width"), (224, 224), "3x224x224:float32:0..1"),
    ],
)
def test_images(shape, takes, line) -> None:
    found = Picky(lambda x: x.shape[1:] == takes, image(*shape)).find()
    assert found.lines == {"images": line}
    assert found.arrays["images"].min() >= 0 and found.arrays["images"].max() <= 1


def test_a_state_shares_the_batch_and_a_rate_is_a_scalar() -> None:
    inputs = [
        Tensor("input", F32, ("input_0", "input_1")),
        Tensor("state", F32, (2, "state_1", 64)),
        Tensor("sr", I64, ()),
    ]
    model = Picky(lambda x, state, sr: x.shape == (len(x), 1536) and state.shape[1] == len(x) and sr == 16000, *inputs)
    found = model.find()
    assert found.lines == {"input": "Nx1536:float32:normal", "state": "2xNx64:float32:0", "sr": "scalar:int64:16000"}
    feed = feeds.batch(found.tensors, found.arrays, 0, 2)
    assert (feed["input"].shape, feed["state"].shape, feed["sr"].shape) == ((2, 1536), (2, 2, 64), ())


def test_ids_stay_below_the_table_and_masks_are_ones() -> None:
    shape = ("batch", "sequence")
    names = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
    found = Picky(
        lambda *arrays: len({array.shape for array in arrays}) == 1,
        *(Tensor(name, I64, shape) for name in names),
        input_ids=Hint(ids_below=30, kind="ids"),
    ).find(rows=40)
    assert found.arrays["input_ids"].max() == 29 and found.arrays["input_ids"].min() == 0
    assert (found.arrays["attention_mask"] == 1).all() and (found.arrays["token_type_ids"] == 0).all()
    assert found.arrays["position_ids"].max() == 127
    assert found.lines["input_ids"] == "Nx128:int64:0..29"


def test_lengths_speak_of_the_main_input() -> None:
    inputs = Tensor("waveforms", F32, ("batch", "N")), Tensor("waveforms_lens", I64, ("batch",))
    found = Picky(lambda wave, lens: (lens == wave.shape[1]).all(), *inputs).find()
    assert found.tried == 1
    assert found.lines == {"waveforms": "Nx16000:float32:-1..1", "waveforms_lens": "N:int64:16000"}


def test_dimensions_of_one_name_have_one_size_and_formulas_are_computed() -> None:
    inputs = [
        Tensor("ids", I64, ("batch", "sequence")),
        Tensor("mask", I64, ("batch", "past + sequence")),
        Tensor("past_key", F32, ("batch", 2, "past", 8)),
    ]
    found = Picky(lambda ids, mask, key: mask.shape[1] == ids.shape[1] + key.shape[2], *inputs).find()
    assert found.tried == 1
    assert found.arrays["mask"].shape[1] == 128 + 16


def test_unknown_dimensions_are_tried_equal() -> None:
    inputs = Tensor("a", F32, ("batch", "p", 5)), Tensor("b", F32, ("batch", "q"))
    found = Picky(lambda a, b: a.shape[1] == b.shape[1] == 64, *inputs).find()
    assert found.arrays["a"].shape == (3, 64, 5)


def test_the_size_of_a_weight_is_taken() -> None:
    found = Picky(lambda x: x.shape[1] == 13, Tensor("x", F32, ("n", "x_1")), x=Hint(sizes={1: 13})).find()
    assert (found.tried, found.lines) == (1, {"x": "Nx13:float32:normal"})


@pytest.mark.parametrize(("most", "fixed"), [(1, 1), (2, None)])
def test_a_batch_that_the_model_does_not_take_is_bound(most, fixed) -> None:
    found = Picky(lambda x: len(x) <= most, image("n", 3, "h", "w")).find()
    assert fixed_batch(found.tensors) == fixed


def test_a_model_that_ignores_the_second_row_is_bound_to_one() -> None:
    model = Picky(lambda x: True, image("n", 3, "h", "w"))
    model.infer = lambda feed: [np.zeros((1, 5))]
    assert model.find().lines == {"images": "1x3x224x224:float32:0..1"}


def test_what_was_chosen_is_drawn_again_without_a_trial() -> None:
    model = Picky(lambda x, h: x.shape == (100, 576), Tensor("x", F32, ("seq_len", 576)), Tensor("h", F32, (1, 1, 8)))
    first = model.find()
    again = Picky(lambda *_: False, *model.inputs)
    second = again.find(inputs=settled(Synthetic(), (f"{n}={line}" for n, line in first.lines.items())).inputs)
    assert (second.tried, again.feeds) == (0, [])
    assert second.drawn == first.drawn
    assert all((second.arrays[name] == first.arrays[name]).all() for name in first.arrays)


def test_what_is_described_is_taken() -> None:
    model = Picky(lambda x: True, image("batch", 3, "height", "width"))
    assert model.find(dims={"height": 96}).lines == {"images": "Nx3x96x224:float32:0..1"}
    assert model.find(inputs={"images": "1x3x32x48"}).lines == {"images": "1x3x32x48:float32:0..1"}
    assert model.find(inputs={"images": "Nx3x32x48:float32"}).lines == {"images": "Nx3x32x48:float32:0..1"}
    assert model.find(inputs={"images": "4x3x32x48::0..255"}).lines == {"images": "4x3x32x48:float32:0..255"}
    assert len(model.find(inputs={"images": "4x3x32x48"}).arrays["images"]) == 3, "rows are rows, however they are fed"


def test_rows_are_on_the_axis_that_is_described() -> None:
    found = Picky(lambda x: True, Tensor("x", F32, ("a", "b", 4))).find(inputs={"x": "7xNx4"})
    assert (found.tensors[0].axis, found.arrays["x"].shape) == (1, (3, 7, 4))
    assert feeds.batch(found.tensors, found.arrays, 0, 2)["x"].shape == (7, 2, 4)


def test_a_model_that_says_nothing_is_described_whole() -> None:
    model = Picky(lambda x: x.shape[1:] == (7,), Tensor("x", None, ("...",)))
    assert model.find(inputs={"x": "Nx7:float32"}).lines == {"x": "Nx7:float32:normal"}
    with pytest.raises(InputError, match=r"say it: --input x=1x3x224x224:float32, or give rows: --inputs rows\.npz"):
        model.find()
    with pytest.raises(InputError, match="write it: x=1x7:float32"):
        model.find(inputs={"x": "1x7"})


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"dims": {"heigth": 3}}, "--dim heigth: the model has no dimension of this name (did you mean 'height'?)"),
        ({"inputs": {"image": "1x3"}}, "--input image: the model has no input of this name (did you mean 'images'?)"),
        ({"inputs": {"images": "0x3x8x8"}}, "--input images=0x3x8x8: that is no row at all; write N for any number"),
        ({"inputs": {"images": "1x3x8"}}, "--input images=1x3x8: the model wants *x3x*x* (* is any size)"),
        ({"inputs": {"images": "1x4x8x8"}}, "the model wants *x3x*x*"),
        ({"inputs": {"images": "1x3x8x8:int64"}}, "the model wants float32; write 1x3x8x8:float32"),
    ],
)
def test_a_description_that_does_not_fit_says_what_would(spec, says) -> None:
    with pytest.raises(InputError) as caught:
        Picky(lambda x: True, image("batch", 3, "height", "width")).find(**spec)
    assert says in str(caught.value)


def test_a_name_that_another_model_has_is_let_pass_where_nothing_is_left_open() -> None:
    assert Picky(lambda x: True, image(1, 3, 8, 8)).find(dims={"height": 3}).lines["images"].startswith("1x3x8x8")


def test_when_nothing_works_the_runtimes_words_and_the_options_are_said() -> None:
    marks: list[str] = []
    model = Picky(lambda x: False, image("batch", 3, "height", "width"))
    with pytest.raises(InputError) as caught:
        model.find(marks.append)
    said = str(caught.value)
    assert f"none of {len(model.feeds)} guesses of the inputs runs" in said
    assert "images: float32 [batch, 3, height, width]" in said
    assert "got an invalid shape" in said and "and more" not in said
    for option in ("--dim height=SIZE --dim width=SIZE", "--input images=1x3x224x224:float32", "--inputs rows.npz"):
        assert option in said
    assert 5 <= len(model.feeds) <= 20 and len(marks) == len(model.feeds)


def test_moderate_sizes_come_first() -> None:
    model = Picky(lambda x: False, image("batch", 3, "height", "width"))
    with pytest.raises(InputError):
        model.find()
    assert model.feeds[0]["images"].shape == (1, 3, 224, 224)
    assert max(feed["images"].size for feed in model.feeds) == 3 * 640 * 640


@pytest.mark.parametrize("tall", [48, 7], ids=["a size fits", "none does"])
def test_a_guess_that_gives_nothing_at_all_is_not_the_first_choice(tall) -> None:
    """OpenVINO runs a text recogniser at a height it is not made for, and gives an output of shape [0, 0, 2]."""
    model = Picky(lambda x: True, image("b", 3, "?", "w"))
    model.infer = lambda feed: [
        np.zeros((1 if feed["images"].shape[2] == tall else 0, 0 + (tall == 48), 2), np.float32)
    ]
    found = model.find()
    assert found.lines["images"] == ("1x3x48x320:float32:0..1" if tall == 48 else "Nx3x224x224:float32:0..1")


def test_nan_is_the_models_fault_not_the_inputs() -> None:
    model = Picky(lambda x: True, image("batch", 3, "height", "width"))
    model.infer = lambda feed: [np.full((len(feed["images"]), 2), np.nan, np.float32)]
    assert model.find().lines["images"] == "Nx3x224x224:float32:0..1"


def test_the_time_of_the_guess_that_worked_is_kept() -> None:
    model = Picky(lambda x: x.shape[1] == 16, Tensor("x", F32, ("n", "x_1")))
    clock = iter(range(0, 1000, 7))
    found = find(Model(model.inputs, model.infer, clock=lambda: next(clock)), Synthetic(), 0)
    assert (found.tried, found.first_ns) == (2, 7)
    assert find(Model((Tensor("x", F32, ("n", 3)),), model.infer), Synthetic(), 0).first_ns is None


def test_rows_are_as_many_as_fit() -> None:
    found = Picky(lambda x: True, image(1, 3, 1024, 1024)).find(rows=64)
    assert len(found.arrays["images"]) == 5


def test_same_name_same_numbers_and_more_rows_begin_with_fewer() -> None:
    def drawn(rows, seed=0, *names):
        model = Model(tuple(Tensor(name, F32, ("n", 3)) for name in names), lambda feed: [])
        return find(model, Synthetic(rows), seed).arrays

    one, two = drawn(2, 0, "x"), drawn(5, 0, "y", "x")
    assert (two["x"][:2] == one["x"]).all()
    assert (drawn(2, 1, "x")["x"] != one["x"]).any() and (two["y"] != two["x"]).any()
