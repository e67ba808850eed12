"""Sizes to try for dimensions of which a model says only a name, or nothing: the most plausible and moderate first."""

import ast
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from harness.runtimes import words
from harness.runtimes.base import Hint, Tensor
from harness.runtimes.layout import main_input

Ladder = tuple[int, ...]
# Square images in multiples of 32; in between, lines of text.
HEIGHTS: Ladder = (224, 320, 640, 48, 32, 256, 512, 64, 32, 416, 128)
WIDTHS: Ladder = (224, 320, 640, 320, 320, 256, 512, 64, 32, 416, 128)
LINES: Ladder = (320, 160, 640, 100, 224, 32)
CHANNELS: Ladder = (3, 1)
TOKENS: Ladder = (128, 16, 512, 64, 256, 1, 2048)
AUDIO: Ladder = (16000, 8000, 48000, 512, 1536, 4096, 160000)
CHUNKS: Ladder = (512, 576, 1536, 1280, 160, 16000, 256)
FRAMES: Ladder = (100, 128, 200, 16, 300, 64, 1, 2048)
FEATURES: Ladder = (64, 16, 128, 512, 80, 256, 40, 768, 1, 2)
PAST: Ladder = (16, 0, 1)
CLIPS: Ladder = (16, 8)
_EQUAL: Ladder = (16, 64, 128, 1)
_LINE_HEIGHT = 64
_MOST_GUESSES = 20
_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.floordiv,
}


class Use(NamedTuple):
    """Where a dimension of unknown size is first met: its name, the input, the axis, what the graph tells."""

    symbol: str
    tensor: Tensor
    axis: int
    hint: Hint


class Beside(NamedTuple):
    """What the model takes beside a dimension's input: a state (it is fed in chunks), a sample rate (it hears)."""

    state: bool
    rate: bool

    @property
    def audio(self) -> Ladder:
        """What to try for samples of audio."""
        return CHUNKS if self.state else AUDIO


def ladders(tensors: Sequence[Tensor], hints: Mapping[str, Hint], known: Mapping[str, int]) -> dict[str, Ladder]:
    """Return for each dimension of unknown size what to try; `known` are given. Rows are none of them."""
    found: dict[str, Ladder] = {symbol: (size,) for symbol, size in known.items()}
    beside = Beside(
        any(words.is_state(tensor.name) for tensor in tensors),
        any(not words.RATE.isdisjoint(words.words(tensor.name)) for tensor in tensors),
    )
    uses = [use for use in _uses(tensors, hints) if use.symbol not in known]
    for use in uses:
        if use.symbol not in found and not _names_in(use.symbol):
            size = use.hint.sizes.get(use.axis)
            found[use.symbol] = (size,) if size else _ladder(use, beside)
    for use in uses:
        names = _names_in(use.symbol)
        if use.symbol not in found and not (names and names <= set(found)):
            found[use.symbol] = _ladder(use, beside)
    return found


def _uses(tensors: Sequence[Tensor], hints: Mapping[str, Hint]) -> list[Use]:
    """Return every dimension of unknown size, the main input's first; the axes that carry rows are none."""
    main = main_input(tensors).name
    return [
        Use(symbol, tensor, axis, hints.get(tensor.name, Hint()))
        for tensor in sorted(tensors, key=lambda tensor: tensor.name != main)
        for axis, symbol in enumerate(tensor.shape)
        if axis != tensor.axis and isinstance(symbol, str)
    ]


def assignments(found: Mapping[str, Ladder]) -> Iterator[dict[str, int]]:
    """Yield sizes for all dimensions, the likeliest first: one step of all ladders at a time, then all equal."""
    tried: list[dict[str, int]] = []
    channels = [symbol for symbol, ladder in found.items() if ladder == CHANNELS]
    steps = max((len(ladder) for ladder in found.values()), default=1)
    free = [symbol for symbol, ladder in found.items() if len(ladder) > 1 and ladder not in (CHANNELS, HEIGHTS, WIDTHS)]
    guesses = [
        {symbol: _step(ladder, step) for symbol, ladder in found.items()} | dict.fromkeys(channels, colours)
        for colours in (CHANNELS if channels else CHANNELS[:1])
        for step in range(steps)
    ]
    first = guesses[0]
    guesses += [first | dict.fromkeys(free, size) for size in _EQUAL] if len(free) > 1 else []
    for guess in guesses[:_MOST_GUESSES]:
        if guess not in tried:
            tried.append(guess)
            yield guess


def _step(ladder: Ladder, step: int) -> int:
    return ladder[min(step, len(ladder) - 1)]


def sized(tensor: Tensor, sizes: Mapping[str, int]) -> Tensor:
    """Return an input with its dimensions' sizes; the axis that carries rows stays open unless it has a size."""
    return tensor._replace(shape=tuple(_size(s, sizes, axis == tensor.axis) for axis, s in enumerate(tensor.shape)))


def _size(size: int | str, sizes: Mapping[str, int], rows: bool) -> int | str:
    if isinstance(size, int) or size in sizes:
        return size if isinstance(size, int) else sizes[size]
    return size if rows else _formula(size, sizes)


def _ladder(use: Use, beside: Beside) -> Ladder:
    """Return what to try for a dimension: by its name, else by its place."""
    named = words.dimension_words(use.symbol) if not words.is_unnamed(use.symbol, use.tensor) else frozenset[str]()
    shape = use.tensor.shape
    if named & (words.HEIGHT | words.WIDTH):
        return _picture_side(use, HEIGHTS if named & words.HEIGHT else WIDTHS)
    if named & words.PAST:
        return PAST
    if named & words.CHANNEL:
        return CHANNELS
    whole = words.words(use.tensor.name)
    if use.tensor.dtype is not None and use.tensor.dtype.kind in "iub" and len(shape) <= 3:
        return TOKENS
    if (named | whole) & words.AUDIO and len(shape) <= 2:
        return beside.audio
    if named & words.SEQUENCE:
        return _sequence(use, beside)
    return FEATURES if named & words.FEATURE else _by_place(use, beside)


def _sequence(use: Use, beside: Beside) -> Ladder:
    if len(use.tensor.shape) <= 2 and use.axis == len(use.tensor.shape) - 1:
        return beside.audio
    return FRAMES


def _by_place(use: Use, beside: Beside) -> Ladder:
    shape, axis, rank = use.tensor.shape, use.axis, len(use.tensor.shape)
    if rank >= 4:
        return _in_picture(use)
    if rank == 3:
        if use.tensor.axis is None and shape[0] in (1, 3):
            return _picture_side(use, HEIGHTS if axis == 1 else WIDTHS)
        other = shape[3 - axis] if axis in (1, 2) else None
        if isinstance(other, int):
            return AUDIO if other <= 2 else FRAMES
        return FRAMES if axis <= 1 else FEATURES
    if use.hint.kind == "signal" or beside.rate:
        return beside.audio
    if beside.state:
        return (*FEATURES, *CHUNKS)
    return FEATURES if rank == 2 else (*FRAMES, *AUDIO[:1])


def _in_picture(use: Use) -> Ladder:
    shape, rank = use.tensor.shape, len(use.tensor.shape)
    last = use.hint.sizes.get(rank - 1, shape[-1]) in (1, 3, 4) and use.hint.sizes.get(1) is None
    sides = (rank - 3, rank - 2) if last else (rank - 2, rank - 1)
    if use.axis in sides:
        return _picture_side(use, HEIGHTS if use.axis == sides[0] else WIDTHS)
    colours = rank - 1 if last else 1
    return CHANNELS if use.axis == colours else CLIPS


def _picture_side(use: Use, ladder: Ladder) -> Ladder:
    """Where the other side is fixed, try a line of text, or the same size first."""
    shape = use.tensor.shape
    other = shape[use.axis + 1] if ladder == HEIGHTS and use.axis + 1 < len(shape) else shape[use.axis - 1]
    if not isinstance(other, int) or other < 8:
        return ladder
    return LINES if other <= _LINE_HEIGHT else (other, *ladder)


def _names_in(symbol: str) -> set[str]:
    """Return the names in a dimension that is an expression of others (`past + sequence`); none for a plain name."""
    if symbol.isidentifier():
        return set()
    try:
        return {node.id for node in ast.walk(ast.parse(symbol, mode="eval")) if isinstance(node, ast.Name)}
    except (SyntaxError, ValueError):
        return set()


def _formula(symbol: str, sizes: Mapping[str, int]) -> int:
    """Return the value of an expression of other dimensions."""
    try:
        return max(0, _value(ast.parse(symbol, mode="eval").body, sizes))
    except (SyntaxError, ValueError, KeyError, ZeroDivisionError):
        return 1


def _value(node: ast.expr, sizes: Mapping[str, int]) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Name):
        return sizes[node.id]
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left, sizes), _value(node.right, sizes))
    raise ValueError("not a formula of sizes")
