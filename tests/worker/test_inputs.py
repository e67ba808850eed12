"""What a trial feeds its model, by dataset or by guess, and what it says of it."""

from __future__ import annotations

import time
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from harness.evidence.files import save_array
from harness.runtimes import feeds
from harness.runtimes.base import InputError, Tensor
from harness.spec.suite import Candidate
from harness.spec.synthetic import Synthetic, settled
from harness.spec.target import Target
from harness.spec.variant import Variant
from harness.spec.wire import Trial
from harness.worker.inputs import inputs_of

F32 = np.dtype("float32")


@pytest.fixture
def session():
    """A model that doubles images and a state of its own."""
    inputs = (Tensor("images", F32, ("n", 3, "h", "w")), Tensor("state", F32, (2, "state_1", 4)))
    return SimpleNamespace(
        inputs=inputs,
        outputs=("y",),
        scope=nullcontext,
        clock=time.perf_counter_ns,
        infer=lambda feed: [feed["images"] * 2, feed["state"]],
    )


def job(**more) -> Trial:
    target = Target(name="t", description="d", runtime="fake")
    variant = Variant(format="fake", path="m")
    return Trial(candidate=Candidate(name="m", path="m"), target=target, variant=variant, scenarios=(), **more)


def test_what_was_chosen_is_noted_and_can_be_said_again(session):
    marks: list[str] = []
    spec = Synthetic(rows=4)
    arrays, (note,) = inputs_of(job(synthetic=spec), session, marks.append)
    assert note.code == "inputs_synthetic"
    assert note.data["inputs"] == ["images=Nx3x224x224:float32:0..1", "state=2xNx4:float32:0"]
    assert note.data["tried"] == 1 and note.data["first_ns"] > 0
    assert "images Nx3x224x224:float32:0..1; state 2xNx4:float32:0" in note.message
    assert marks == ["inputs", "inputs"]
    feed = feeds.batch(session.inputs, arrays, 0, 3)
    assert (feed["images"].shape, feed["state"].shape) == ((3, 3, 224, 224), (2, 3, 4))
    session.infer = None  # what was chosen is not run again
    again, (said,) = inputs_of(job(synthetic=settled(spec, note.data["inputs"])), session)
    assert said.data["inputs"] == note.data["inputs"] and said.data["tried"] == 0
    assert all((again[name] == arrays[name]).all() for name in arrays)


def test_a_dataset_is_fed_as_it_is_and_not_noted(session, tmp_path):
    rows = {"images": np.ones((5, 3, 8, 8), np.float32), "state": np.zeros((5, 2, 4), np.float32)}
    for name, array in rows.items():
        save_array(tmp_path / "inputs" / f"{name}.npy", array)
    arrays, notes = inputs_of(job(dataset=str(tmp_path)), session)
    assert notes == ()
    assert feeds.batch(session.inputs, arrays, 0, 2)["state"].shape == (2, 2, 4)
    assert feeds.fixed_batch(session.inputs) is None


def test_without_either_there_is_nothing_to_feed(session):
    with pytest.raises(InputError, match="neither a dataset nor synthetic inputs"):
        inputs_of(job(), session)
