"""The splits of a dataset as arrays: what is written, what is refused and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from harness.evidence.files import read_arrays
from harness.evidence.folder import read_outcome
from harness.runtimes.base import ModelError
from harness.spec.outcome import Outcome
from harness.spec.suite import Dataset, Source
from harness.spec.wire import MakeDataset
from harness.worker.dataset import make_dataset
from harness.worker.work import do_job

Arrays = Mapping[str, object]
X = np.arange(12, dtype=np.float32).reshape(6, 2)


def job(base: Path, evaluation: Arrays, **splits: Arrays) -> MakeDataset:
    """Write each split as .npz into `base`, and return the job that reads them."""
    for name, arrays in {"evaluation": evaluation, **splits}.items():
        np.savez(base / f"{name}.npz", **arrays)
    sources = {name: Source(path=f"{name}.npz") for name in splits}
    return MakeDataset(dataset=Dataset(path="evaluation.npz", **sources), base=str(base))


@pytest.fixture
def made(tmp_path: Path):
    """Make a dataset of these splits; it is in `tmp_path / "data"`."""

    def make(evaluation: Arrays, **splits: Arrays) -> Outcome:
        return make_dataset(job(tmp_path, evaluation, **splits), tmp_path / "data")

    return make


def test_splits_are_written_each_with_its_digest(made, tmp_path: Path) -> None:
    outcome = made({"x": X, "labels": np.arange(6)}, calibration={"x": X + 100}, production={"x": X + 200})
    assert set(outcome.digests) == {"evaluation", "calibration", "production"}
    assert len(set(outcome.digests.values())) == 3 and {len(d) for d in outcome.digests.values()} == {64}
    assert set(outcome.files) == {
        "evaluation/inputs/x.npy",
        "evaluation/labels.npy",
        "calibration/inputs/x.npy",
        "production/inputs/x.npy",
    }
    for name, added in (("evaluation", 0), ("calibration", 100), ("production", 200)):
        arrays = read_arrays(tmp_path / "data" / name / "inputs")
        assert arrays["x"].dtype == np.float32
        np.testing.assert_array_equal(arrays["x"], X + added)


def test_a_split_that_is_not_given_is_not_written(made, tmp_path: Path) -> None:
    assert set(made({"x": X}).digests) == {"evaluation"}
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["evaluation"]


@pytest.mark.parametrize(
    "other",
    [
        {"x": X + 1, "labels": np.zeros(6)},
        {"x": X.astype(np.float64), "labels": np.zeros(6)},
        {"x": X.reshape(6, 2, 1), "labels": np.zeros(6)},
        {"y": X, "labels": np.zeros(6)},
        {"x": X, "labels": np.ones(6)},
        {"x": X, "labels": np.zeros(6), "weights": np.ones(6)},
    ],
)
def test_a_digest_is_that_of_all_that_the_split_holds(made, other: Arrays) -> None:
    split = {"x": X, "labels": np.zeros(6)}
    before = made(split).digests["evaluation"]
    assert made(split).digests["evaluation"] == before
    assert made(other).digests["evaluation"] != before


def test_groups_and_weights_are_read_through(made, tmp_path: Path) -> None:
    groups, weights = np.array(["a", "a", "b", "b", "c", "c"]), np.array([1.0, 2.0, 0.0, 1.0, 0.5, 1.0])
    made({"x": X, "labels": np.arange(6), "groups": groups, "weights": weights})
    arrays = read_arrays(tmp_path / "data" / "evaluation")
    assert set(arrays) == {"labels", "groups", "weights"}
    assert arrays["groups"].tolist() == groups.tolist()
    assert arrays["weights"].tolist() == weights.tolist()
    assert set(read_arrays(tmp_path / "data" / "evaluation" / "inputs")) == {"x"}


@pytest.mark.parametrize(
    ("one", "two", "says"),
    [
        ("calibration", "production", "the calibration and production splits share 2 rows (row 1 of production,"),
        ("evaluation", "calibration", "the evaluation and calibration splits share 2 rows (row 1 of calibration,"),
        ("evaluation", "production", "the evaluation and production splits share 2 rows (row 1 of production,"),
    ],
)
def test_a_row_in_two_splits_is_refused_with_the_count(made, tmp_path: Path, one: str, two: str, says: str) -> None:
    splits = {name: X + 100 * place for place, name in enumerate(("evaluation", "calibration", "production"))}
    splits[two] = np.concatenate([splits[two][:1], splits[one][3:5], splits[two][1:]])
    with pytest.raises(ModelError) as caught:
        made(**{name: {"x": rows} for name, rows in splits.items()})
    assert says in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_rows_are_the_same_only_when_all_their_inputs_are(made) -> None:
    one = {"a": X, "b": np.zeros((6, 1))}
    assert set(made(one, calibration={"a": X, "b": np.ones((6, 1))}).digests) == {"evaluation", "calibration"}
    with pytest.raises(ModelError, match="share 6 rows"):
        made(one, calibration={"a": X, "b": np.zeros((6, 1)), "labels": np.ones(6)})


def test_a_row_twice_in_one_split_is_its_own_affair(made) -> None:
    assert made({"x": np.zeros((6, 2))}, calibration={"x": X + 1}).status == "ok"


@pytest.mark.parametrize(
    "weights",
    [
        [1, 1, 1, 1, 1, -0.5],
        [1, 1, np.nan, 1, 1, 1],
        [1, 1, np.inf, 1, 1, 1],
        [0.0] * 6,
        np.ones((6, 1)),
        np.array(list("abcdef")),
    ],
)
def test_weights_that_weigh_nothing_are_refused(made, weights: object) -> None:
    with pytest.raises(ModelError, match="the weights of the evaluation split must be one finite number per row"):
        made({"x": X, "weights": np.asarray(weights)})
    with pytest.raises(ModelError, match="the weights of the calibration split"):
        made({"x": X}, calibration={"x": X + 100, "weights": np.asarray(weights)})


@pytest.mark.parametrize(
    ("evaluation", "says"),
    [
        ({"labels": np.ones(6)}, "the dataset has no inputs"),
        ({"x": X, "labels": np.ones(5)}, "the evaluation split must have the same number of rows, at least 1"),
        ({"x": X[:0]}, "at least 1; they have {'x': 0}"),
        ({"x": X, "labels": np.float32(3)}, "'labels' must be an array of numbers or text with rows first"),
        ({"x": np.float32(3)}, "'x' must be an array of numbers or text with rows first"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(made, evaluation: Arrays, says: str) -> None:
    with pytest.raises(ModelError) as caught:
        made(evaluation)
    assert says in str(caught.value)


@pytest.mark.parametrize("data", [None, b"", b"not numpy", b"PK\x03\x04 cut off", b"\x93NUMPY\x01\x00"])
def test_a_file_that_cannot_be_read_is_named_with_its_split(made, tmp_path: Path, data: bytes | None) -> None:
    wanted = job(tmp_path, {"x": X}, calibration={"x": X + 100})
    path = tmp_path / "calibration.npz"
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ModelError, match=r"^calibration: .*calibration\.npz cannot be read as \.npz: "):
        make_dataset(wanted, tmp_path / "data")


def test_a_single_array_saved_as_npy_is_named_too(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(ModelError, match=r"x\.npy cannot be read as \.npz"):
        make_dataset(MakeDataset(dataset=Dataset(path="x.npy"), base=str(tmp_path)), tmp_path / "data")


def test_builders_give_splits_as_files_do(tmp_path: Path, torch_beside: str) -> None:
    module = f"rows_of_{torch_beside}"
    (tmp_path / f"{module}.py").write_text(
        "import numpy as np\n"
        "def judged(): return {'inputs': np.zeros((3, 2)), 'labels': [0, 1, 2], 'groups': ['a', 'b', 'a']}\n"
        "def calibrated(): return {'inputs': {'x': np.ones((2, 2))}, 'weights': [1, 3]}\n"
        "def listed(): return [1, 2]\n"
    )
    calibration = Source(builder=f"{module}:calibrated")
    dataset = Dataset(builder=f"{module}:judged", calibration=calibration)
    make_dataset(MakeDataset(dataset=dataset, base=str(tmp_path)), tmp_path / "data")
    assert read_arrays(tmp_path / "data" / "evaluation")["groups"].tolist() == ["a", "b", "a"]
    assert read_arrays(tmp_path / "data" / "calibration")["weights"].tolist() == [1, 3]
    with pytest.raises(ModelError, match="listed must return a dict with 'inputs', not list"):
        make_dataset(MakeDataset(dataset=Dataset(builder=f"{module}:listed"), base=str(tmp_path)), tmp_path / "data")


def test_the_job_fails_with_the_reason_and_leaves_no_arrays(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    outcome = do_job(job(tmp_path, {"x": X}, calibration={"x": X[2:4]}), folder, tmp_path)
    assert (outcome.status, outcome.failure, outcome.phase) == ("failed", "load_error", "prepare")
    assert "the evaluation and calibration splits share 2 rows" in outcome.message
    assert read_outcome(folder) == outcome and not list(folder.rglob("*.npy"))


def test_objects_are_refused_without_the_advice_to_load_them(tmp_path):
    np.savez(tmp_path / "x.npz", inputs=np.array([{"a": 1}, None], dtype=object))
    with pytest.raises(ModelError, match=r"x\.npz cannot be read as \.npz: it holds Python objects; save arrays of"):
        make_dataset(MakeDataset(dataset=Dataset(path="x.npz"), base=str(tmp_path)), tmp_path / "out")
