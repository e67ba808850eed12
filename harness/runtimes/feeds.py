"""From a dataset, or a model's own signature, to feeds: dicts of arrays in the model's names and dtypes."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.runtimes.base import Feed, ModelError, OutputError, Tensor
from harness.spec.arrays import Array
from harness.spec.suite import Synthetic

_DEFAULT_DIM = 16


def match(tensors: Sequence[Tensor], arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Pair the model's inputs with the dataset's arrays (views; nothing is cast yet).

    One input and one array are a pair, whatever they are called; otherwise names must agree. Raises ModelError where
    a name, shape or dtype does not fit.
    """
    if len(tensors) == 1 and len(arrays) == 1:
        paired = {tensors[0].name: next(iter(arrays.values()))}
    else:
        missing = [t.name for t in tensors if t.name not in arrays]
        if missing:
            has = ", ".join(sorted(arrays)) or "none"
            raise ModelError(f"the model wants the input '{missing[0]}', which the dataset lacks; it has {has}")
        paired = {t.name: arrays[t.name] for t in tensors}
    for tensor in tensors:
        _check(tensor, paired[tensor.name])
    return paired


def _check(tensor: Tensor, array: Array) -> None:
    sized = zip(tensor.shape[1:], array.shape[1:], strict=False)
    fits = len(tensor.shape) == array.ndim and all(isinstance(want, str) or want == have for want, have in sized)
    if tensor.shape != ("...",) and not fits:
        wanted, given = (f"[{', '.join(map(str, s))}]" for s in (tensor.shape, ("rows", *array.shape[1:])))
        raise ModelError(f"input '{tensor.name}' wants shape {wanted}, the dataset gives {given}")
    if tensor.dtype is not None and not np.can_cast(array.dtype, tensor.dtype, "same_kind"):
        raise ModelError(f"input '{tensor.name}' wants {tensor.dtype}, the dataset gives {array.dtype}")


def batch(tensors: Sequence[Tensor], arrays: Mapping[str, Array], start: int, size: int) -> Feed:
    """Return rows start … start+size−1 (wrapping round) as one contiguous feed in the model's dtypes."""
    feed: Feed = {}
    for tensor in tensors:
        array = arrays[tensor.name]
        rows = np.take(array, np.arange(start, start + size), axis=0, mode="wrap")
        feed[tensor.name] = np.ascontiguousarray(rows, dtype=_dtype(tensor, array))
    return feed


def _dtype(tensor: Tensor, array: Array) -> np.dtype[Any]:
    if tensor.dtype is not None:
        return tensor.dtype
    return np.dtype("float32") if array.dtype == np.float64 else array.dtype


def pool(tensors: Sequence[Tensor], arrays: Mapping[str, Array], size: int, rows: int) -> list[Feed]:
    """Return feeds of `size` rows each that together show up to `rows` different rows (at least one feed)."""
    count = max(1, min(rows, rows_in(arrays)) // size)
    return [batch(tensors, arrays, index * size, size) for index in range(count)]


def rows_in(arrays: Mapping[str, Array]) -> int:
    """Return how many rows the dataset has."""
    return min(len(array) for array in arrays.values())


def fixed_batch(tensors: Sequence[Tensor]) -> int | None:
    """Return the batch size a model is bound to, or None when any will do."""
    return next((size for tensor in tensors for size in tensor.shape[:1] if isinstance(size, int)), None)


def synthesise(tensors: Sequence[Tensor], spec: Synthetic, seed: int) -> dict[str, Array]:
    """Draw inputs from a signature: normal floats, 0/1 integers and bools. Same name, same numbers.

    Raises ModelError where an input has no numeric dtype or no known rank.
    """
    return {tensor.name: _draw(tensor, spec, seed) for tensor in tensors}


def _draw(tensor: Tensor, spec: Synthetic, seed: int) -> Array:
    if tensor.dtype == object:
        raise ModelError(f"input '{tensor.name}' takes text, which cannot be drawn; give a [dataset]")
    if tensor.dtype is None or tensor.shape == ("...",):
        raise ModelError(f"input '{tensor.name}' does not say its dtype and shape; give a [dataset]")
    shape = [spec.rows] + [d if isinstance(d, int) else spec.dims.get(d, _DEFAULT_DIM) for d in tensor.shape[1:]]
    rng = np.random.default_rng([seed, zlib.crc32(tensor.name.encode())])
    if tensor.dtype.kind == "f":
        return rng.standard_normal(shape).astype(tensor.dtype)
    return rng.integers(0, 2, shape).astype(tensor.dtype)


def guessed_dims(tensors: Sequence[Tensor], spec: Synthetic) -> tuple[str, ...]:
    """Return the symbolic dimensions that got the default size because `dims` does not name them."""
    symbols = [d for t in tensors for d in t.shape[1:] if isinstance(d, str) and d not in spec.dims]
    return tuple(dict.fromkeys(symbols))


def check_finite(outputs: Sequence[Array]) -> None:
    """Raise OutputError where a floating-point output holds NaN or infinity."""
    for index, output in enumerate(outputs):
        if isinstance(output, np.ndarray) and output.dtype.kind == "f" and not np.isfinite(output).all():
            bad = int((~np.isfinite(output)).sum())
            raise OutputError(f"output {index} has {bad} of {output.size} values that are NaN or infinite")
