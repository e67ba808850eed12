"""Synthetic inputs: what values each input plausibly has, and arrays of them, rows in front."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.runtimes import words
from harness.runtimes.base import Hint, InputError, Tensor
from harness.runtimes.feeds import row_shape
from harness.runtimes.layout import main_input
from harness.spec.arrays import Array
from harness.spec.synthetic import NORMAL, ROWS, TEXT, InputLine, Values

SAMPLE_RATE = 16_000
_MOST_BYTES = 64 << 20
_TEXTS = ("one", "some words of text", "a longer line of text, with a comma in it")
_BYTE = 255
_LONG = 4096
_UPPER = 1000
"""An upper end that is above the 1 which other scalars get."""


class Drawn(NamedTuple):
    """An input as it is drawn: sizes known, rows left open or fixed, and its values."""

    tensor: Tensor
    values: Values

    @property
    def line(self) -> str:
        """The input as a user would write it."""
        shape = tuple(ROWS if isinstance(size, str) else size for size in self.tensor.shape)
        return str(InputLine(shape, str(self.tensor.dtype), self.values))


def plausible(tensors: Sequence[Tensor], hints: Mapping[str, Hint]) -> tuple[Drawn, ...]:
    """Choose values for inputs of known sizes."""
    main = main_input(tensors)
    longest = max((size for size in row_shape(main) if isinstance(size, int)), default=1)
    return tuple(Drawn(t, _held(_values(t, hints.get(t.name, Hint()), longest), t.dtype)) for t in tensors)


def _held(values: Values, dtype: np.dtype[Any] | None) -> Values:
    """Return values within what integers of a dtype can hold."""
    if values.kind or dtype is None or dtype.kind not in "iub":
        return values
    least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return values._replace(low=min(max(values.low, least), most), high=min(max(values.high, least), most))


def _values(tensor: Tensor, hint: Hint, longest: int) -> Values:
    """Return an input's values; `longest` is the largest size of the main input, which lengths speak of."""
    assert tensor.dtype is not None, "an input without dtype is refused before"
    if tensor.dtype.kind == "O":
        return Values(TEXT)
    named = words.words(tensor.name)
    row = row_shape(tensor)
    few = len(row) == 0 or row in ((1,), (2,))
    if named & words.RATE and few:
        return _constant(SAMPLE_RATE)
    if named & words.MASK:
        return _constant(1)
    return _integers(tensor, hint, named, longest) if tensor.dtype.kind in "iub" else _floats(tensor, hint, named)


def _integers(tensor: Tensor, hint: Hint, named: frozenset[str], longest: int) -> Values:
    assert tensor.dtype is not None
    row = row_shape(tensor)
    if tensor.dtype.kind == "b":
        return Values("", 0, 1)
    if hint.ids_below:
        return Values("", 0, 0 if named & words.SEGMENT else hint.ids_below - 1)
    if named & words.SEGMENT:
        return _constant(0)
    if named & words.LENGTH and (len(row) == 0 or row in ((1,), (2,))):
        return _constant(longest)
    if named & words.POSITION:
        return Values("", 0, longest - 1)
    if not row:
        return _constant(1)
    if len(row) >= 3 or named & words.IMAGE or tensor.dtype == np.uint8:
        return Values("", 0, _BYTE)
    return Values("", 0, 1)


def _floats(tensor: Tensor, hint: Hint, named: frozenset[str]) -> Values:
    row = row_shape(tensor)
    if words.is_state(tensor.name):
        return _constant(0)
    if named & words.SHARE and len(row) <= 1:
        return _constant(0.5)
    if len(row) == 0 or (named & words.UNIT and len(row) <= 1):
        return _constant(_UPPER if tensor.name.lower().endswith("max") else 1)
    colours = len(row) == 3 and (row[0] in (1, 3, 4) or row[-1] in (1, 3, 4))
    if colours and (hint.kind in ("image", "") or named & words.IMAGE):
        return Values("", 0, 1)
    long = max((size for size in row if isinstance(size, int)), default=0) >= _LONG
    if len(row) <= 2 and (hint.kind == "signal" or named & words.AUDIO or long) and 1 in (len(row), *row):
        return Values("", -1, 1)
    return Values(NORMAL)


def _constant(value: float) -> Values:
    return Values("", value, value)


def rows_that_fit(drawn: Iterable[Drawn], rows: int) -> int:
    """Return how many rows to draw: `rows`, but not more than fit into 64 MiB, and one at least."""
    one = sum(int(np.prod(_sizes(each.tensor))) * _itemsize(each.tensor) for each in drawn)
    return max(1, min(rows, _MOST_BYTES // max(one, 1)))


def draw(drawn: Sequence[Drawn], rows: int, seed: int) -> dict[str, Array]:
    """Draw `rows` rows of every input. Same name, same numbers; more rows begin with those of fewer."""
    return {each.tensor.name: _array(each, rows, seed) for each in drawn}


def _array(drawn: Drawn, rows: int, seed: int) -> Array:
    tensor, values = drawn
    shape = (rows, *_sizes(tensor))
    dtype: np.dtype[Any] = tensor.dtype or np.dtype("float32")
    rng = np.random.default_rng([seed, zlib.crc32(tensor.name.encode())])
    if values.kind == TEXT:
        return np.array(_TEXTS, dtype=object)[rng.integers(0, len(_TEXTS), shape)]
    if values.kind == NORMAL:
        return rng.standard_normal(shape, np.float64 if dtype == np.float64 else np.float32).astype(dtype, copy=False)
    if values.low == values.high:
        return np.full(shape, values.low, dtype)
    if dtype.kind in "iub":
        return rng.integers(int(values.low), int(values.high), shape, endpoint=True).astype(dtype)
    return (values.low + (values.high - values.low) * rng.random(shape, np.float32)).astype(dtype)


def _sizes(tensor: Tensor) -> tuple[int, ...]:
    row = row_shape(tensor)
    if any(isinstance(size, str) for size in row):
        raise InputError(f"input '{tensor.name}' has sizes that are not known: {', '.join(map(str, row))}")
    return tuple(size for size in row if isinstance(size, int))


def _itemsize(tensor: Tensor) -> int:
    return tensor.dtype.itemsize if tensor.dtype is not None else 4
