"""Synthetic inputs as a user writes them, and as a note or `harness init` shows what was chosen: `SHAPE:DTYPE:VALUES`.

`Nx3x320x320:float32:0..1` is any number of rows of 3 × 320 × 320 numbers from 0 to 1. A size in place of `N` fixes the
number of rows, `scalar` is an input of rank 0. DTYPE and VALUES may be left out: the model's own, and guessed ones.
"""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from harness.spec.ranges import Count

ROWS = "N"
SCALAR = "scalar"
NORMAL = "normal"
TEXT = "text"
_DTYPES = ("float16", "float32", "float64", "bool", "int8", "int16", "int32", "int64")
DTYPES = (*_DTYPES, "uint8", "uint16", "uint32", "uint64", "object")
_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_VALUES = re.compile(rf"(?P<low>{_NUMBER})(?:\.\.(?P<high>{_NUMBER}))?")
_EXAMPLE = "write SHAPE:DTYPE, such as 1x3x320x320:float32, Nx128:int64:0..1000 or scalar:int64:16000"


class Values(NamedTuple):
    """How numbers are drawn: `normal`, `text`, or evenly from `low` to `high` (integers: both included)."""

    kind: str
    low: float = 0.0
    high: float = 0.0

    def __str__(self) -> str:
        if self.kind:
            return self.kind
        ends = [f"{end:.10g}" for end in (self.low, self.high)]
        return ends[0] if self.low == self.high else "..".join(ends)


class InputLine(NamedTuple):
    """One input: its sizes with at most one `N`, and, where they are given, dtype and values."""

    shape: tuple[int | str, ...]
    dtype: str | None = None
    values: Values | None = None

    def __str__(self) -> str:
        shape = "x".join(map(str, self.shape)) or SCALAR
        return ":".join([shape, *(str(part) for part in (self.dtype, self.values) if part is not None)])


def read_line(text: str) -> InputLine:
    """Read `SHAPE[:DTYPE[:VALUES]]`. Raises ValueError that says what is wrong and what to write."""
    shape, _, rest = text.strip().partition(":")
    dtype, _, values = rest.partition(":")
    if dtype and dtype not in DTYPES:
        raise ValueError(f"'{dtype}' is not a dtype ({', '.join(DTYPES)})")
    line = InputLine(_shape(shape, text), dtype or None, _values(values) if values else None)
    if line.dtype and line.values and not _holds(line.dtype, line.values):
        raise ValueError(f"{dtype} cannot hold '{values}' (write whole numbers within its range; text is for object)")
    return line


def _holds(dtype: str, values: Values) -> bool:
    """Whether numbers of a dtype can have these values."""
    if (dtype == "object") != (values.kind == TEXT):
        return False
    if values.kind or dtype.startswith("float"):
        return True
    if dtype == "bool":
        low, high = 0, 1
    else:
        bits = int(dtype.removeprefix("u").removeprefix("int"))
        low, high = (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    whole = values.low.is_integer() and values.high.is_integer()
    return whole and low <= values.low and values.high <= high


def _shape(text: str, whole: str) -> tuple[int | str, ...]:
    if text in ("", SCALAR):
        return ()
    sizes = [size if size == ROWS else int(size) if size.isdecimal() else -1 for size in text.split("x")]
    if -1 in sizes or sizes.count(ROWS) > 1:
        raise ValueError(f"'{whole}' is not an input ({_EXAMPLE})")
    return tuple(sizes)


def _values(text: str) -> Values:
    if text in (NORMAL, TEXT):
        return Values(text)
    found = _VALUES.fullmatch(text)
    low, high = (float(found["low"]), float(found["high"] or found["low"])) if found else (1.0, 0.0)
    if not -math.inf < low <= high < math.inf:
        raise ValueError(f"'{text}' is not a range of values (write 0..1, a single number, or {NORMAL})")
    return Values("", low, high)


class Synthetic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Inputs drawn from the model's own signature.

    `dims` gives symbolic dimensions a size, `inputs` (name → `SHAPE:DTYPE:VALUES`) describes whole inputs.
    """

    rows: Count = 64
    dims: dict[str, Count] = {}
    inputs: dict[str, str] = {}

    def __post_init__(self) -> None:
        for name, text in self.inputs.items():
            try:
                read_line(text)
            except ValueError as error:
                raise ValueError(f"inputs.{name}: {error}") from None


def settled(spec: Synthetic, lines: Iterable[str]) -> Synthetic:
    """Return `spec` with the inputs that a note says were chosen (`data.inputs`): nothing is guessed then."""
    parts = [line.rpartition("=") for line in lines]
    return Synthetic(spec.rows, {}, {name: line for name, _, line in parts})
