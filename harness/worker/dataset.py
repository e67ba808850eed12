"""The dataset job: the splits of a suite's dataset as plain arrays, digested, with no row in two of them."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from harness.evidence.files import save_array
from harness.runtimes.base import ModelError, call, first_line, model_errors
from harness.spec.arrays import Array
from harness.spec.outcome import Outcome
from harness.spec.suite import SPLITS, Dataset, Source
from harness.spec.wire import MakeDataset

_BESIDE_INPUTS = ("labels", "groups", "weights")
Split: TypeAlias = dict[str, Array]
"""The arrays of a split by file, relative to the split's folder: `inputs/<name>.npy`, `<labels|groups|weights>.npy`."""


def make_dataset(job: MakeDataset, folder: Path) -> Outcome:
    """Write `<split>/inputs/<name>.npy` and, where there are any, `<split>/{labels,groups,weights}.npy`.

    Raises ModelError where a split cannot be loaded, its arrays do not fit together, or two splits share rows.
    """
    base = Path(job.base)
    splits = {name: _split(name, source, base) for name, source in _sources(job.dataset).items()}
    _refuse_overlap(splits)
    arrays = {f"{name}/{file}": array for name, split in splits.items() for file, array in split.items()}
    files = {file: save_array(folder / file, array) for file, array in arrays.items()}
    return Outcome(status="ok", digests={name: _digest(split) for name, split in splits.items()}, files=files)


def _sources(dataset: Dataset) -> dict[str, Source]:
    """Return each split that is given with where it comes from; the dataset itself is the evaluation split."""
    sources = (Source(builder=dataset.builder, path=dataset.path), dataset.calibration, dataset.production)
    return {name: source for name, source in zip(SPLITS, sources, strict=True) if source is not None}


def _split(name: str, source: Source, base: Path) -> Split:
    try:
        split = _parts(_raw(source, base))
    except ModelError as error:
        raise ModelError(str(error) if name == SPLITS[0] else f"{name}: {error}") from error
    rows = {Path(file).stem: len(array) for file, array in split.items()}
    if len(set(rows.values())) != 1 or 0 in rows.values():
        must = "must have the same number of rows, at least 1"
        raise ModelError(f"the arrays of the {name} split {must}; they have {rows}")
    if "weights.npy" in split and not _are_weights(split["weights.npy"]):
        raise ModelError(f"the weights of the {name} split must be one finite number per row, 0 or more, not all 0")
    return split


def _are_weights(array: Array) -> bool:
    number = array.ndim == 1 and array.dtype.kind in "biuf"
    return number and bool(np.isfinite(array).all() and (array >= 0).all() and array.any())


def _raw(source: Source, base: Path) -> Mapping[str, Any]:
    if source.builder is not None:
        result = call(source.builder, str(base))
        if not isinstance(result, Mapping):
            raise ModelError(f"{source.builder} must return a dict with 'inputs', not {type(result).__name__}")
        return result
    path = base / str(source.path)
    with model_errors(f"{path} cannot be read as .npz", _why), np.load(path, allow_pickle=False) as file:
        return dict(file)


def _why(error: Exception) -> str:
    """Say what is wrong; numpy advises to load objects unsafely."""
    text = first_line(error)
    return "it holds Python objects; save arrays of numbers or of strings" if "allow_pickle" in str(error) else text


def _parts(raw: Mapping[str, Any]) -> Split:
    """Part inputs from what is beside them; in an .npz all other arrays are inputs."""
    beside = {key: np.asarray(raw[key]) for key in _BESIDE_INPUTS if raw.get(key) is not None}
    given = raw.get("inputs", {key: value for key, value in raw.items() if key not in beside})
    if not isinstance(given, Mapping):
        given = {"inputs": given}
    inputs = {str(name): np.asarray(array) for name, array in given.items()}
    if not inputs:
        raise ModelError("the dataset has no inputs; give 'inputs' (an array, or a dict of arrays)")
    for name, array in (*beside.items(), *inputs.items()):
        if array.ndim == 0 or array.dtype == object:
            raise ModelError(f"the dataset's '{name}' must be an array of numbers or text with rows first")
        if "/" in name:
            raise ModelError(f"dataset input '{name}' has a '/' in its name")
    return {f"inputs/{name}.npy": array for name, array in inputs.items()} | {
        f"{name}.npy": array for name, array in beside.items()
    }


def _digest(split: Split) -> str:
    """Return the SHA-256 of a split's arrays as hexadecimal."""
    digest = hashlib.sha256()
    for file, array in split.items():
        digest.update(f"{file}:{array.dtype}:{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _refuse_overlap(splits: Mapping[str, Split]) -> None:
    """Refuse rows whose inputs stand in two splits: what calibrates a model must not judge it."""
    rows = {name: _row_digests(split) for name, split in splits.items()} if len(splits) > 1 else {}
    for one, two in combinations(rows, 2):
        shared = set(rows[one]) & set(rows[two])
        if shared:
            first = next(index for index, row in enumerate(rows[two]) if row in shared)
            found = f"the {one} and {two} splits share {len(shared)} rows (row {first} of {two}, for one)"
            raise ModelError(f"{found}; remove them from one of the two")


def _row_digests(split: Split) -> Sequence[bytes]:
    arrays = [np.ascontiguousarray(split[file]) for file in sorted(split) if file.startswith("inputs/")]
    return [
        b"".join(hashlib.blake2b(array[row].tobytes(), digest_size=16).digest() for array in arrays)
        for row in range(len(arrays[0]))
    ]
