"""From arrays with rows in front to feeds: dicts of arrays in the model's names and dtypes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.runtimes.base import Feed, ModelError, OutputError, Tensor
from harness.runtimes.layout import fixed_batch as fixed_batch
from harness.runtimes.layout import most_rows as most_rows
from harness.runtimes.layout import settle_by
from harness.spec.arrays import Array


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
    for tensor in settle_by(tensors, paired):
        _check(tensor, paired[tensor.name])
    return paired


def _check(tensor: Tensor, array: Array) -> None:
    wanted = row_shape(tensor)
    sized = zip(wanted, array.shape[1:], strict=False)
    fits = len(wanted) + 1 == array.ndim and all(isinstance(want, str) or want == have for want, have in sized)
    if tensor.shape != ("...",) and not fits:
        whole = tensor.shape if tensor.axis == 0 else ("rows", *wanted)
        wants, given = (f"[{', '.join(map(str, s))}]" for s in (whole, ("rows", *array.shape[1:])))
        raise ModelError(f"input '{tensor.name}' wants shape {wants}, the dataset gives {given}")
    if tensor.dtype is not None and not np.can_cast(array.dtype, tensor.dtype, "same_kind"):
        raise ModelError(f"input '{tensor.name}' wants {tensor.dtype}, the dataset gives {array.dtype}")


def row_shape(tensor: Tensor) -> tuple[int | str, ...]:
    """Return the shape of one row of an input: without the axis that carries rows, whole where there is none."""
    return tuple(size for axis, size in enumerate(tensor.shape) if axis != tensor.axis)


def batch(tensors: Sequence[Tensor], arrays: Mapping[str, Array], start: int, size: int) -> Feed:
    """Return rows start … start+size−1 (wrapping round) as one contiguous feed in the model's dtypes.

    An input that carries no rows is fed the one of row `start`.
    """
    feed: Feed = {}
    for tensor in tensors:
        array = arrays[tensor.name]
        if tensor.axis is None:
            rows = array[start % len(array)]
        else:
            rows = np.moveaxis(np.take(array, np.arange(start, start + size), axis=0, mode="wrap"), 0, tensor.axis)
        feed[tensor.name] = np.asarray(rows, dtype=_dtype(tensor, array), order="C")
    return feed


def _dtype(tensor: Tensor, array: Array) -> np.dtype[Any]:
    if tensor.dtype is not None:
        return tensor.dtype
    return np.dtype("float32") if array.dtype == np.float64 else array.dtype


def pool(tensors: Sequence[Tensor], arrays: Mapping[str, Array], size: int, rows: int) -> list[Feed]:
    """Return feeds of `size` rows each that together show up to `rows` different rows (at least one feed)."""
    count = max(1, min(rows, rows_in(arrays)) // size)
    return [batch(tensors, arrays, index * size, size) for index in range(count)]


def pools(
    tensors: Sequence[Tensor], arrays: Mapping[str, Array], sizes: Sequence[int], rows: int
) -> dict[int, list[Feed]]:
    """Return a pool for each size, as `pool` does: views of the same rows, as far as rows lie one after another.

    Copies for each of many sizes would take that many times the memory.
    """
    counts = {size: max(1, min(rows, rows_in(arrays)) // size) for size in sizes}
    shared = batch(tensors, arrays, 0, max(size * count for size, count in counts.items()))

    def feed(start: int, size: int) -> Feed:
        apart = batch([tensor for tensor in tensors if tensor.axis != 0], arrays, start, size)
        views = {tensor.name: shared[tensor.name][start : start + size] for tensor in tensors if tensor.axis == 0}
        return {tensor.name: (apart | views)[tensor.name] for tensor in tensors}

    return {size: [feed(index * size, size) for index in range(count)] for size, count in counts.items()}


def rows_in(arrays: Mapping[str, Array]) -> int:
    """Return how many rows the dataset has."""
    return min(len(array) for array in arrays.values())


def check_finite(outputs: Sequence[Array]) -> None:
    """Raise OutputError where a floating-point output holds NaN or infinity."""
    for index, output in enumerate(outputs):
        if isinstance(output, np.ndarray) and output.dtype.kind == "f" and not np.isfinite(output).all():
            bad = int((~np.isfinite(output)).sum())
            raise OutputError(f"output {index} has {bad} of {output.size} values that are NaN or infinite")
