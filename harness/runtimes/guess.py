"""Inputs for a model that nobody described: guesses from its signature and graph, tried until the model runs.

What is described (`--dim`, `--input`) is taken as it is. A signature that leaves nothing open needs no trial.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from harness.runtimes.base import (
    Hint,
    Infer,
    InputError,
    ModelError,
    OutputError,
    Tensor,
    first_line,
    model_errors,
)
from harness.runtimes.draw import Drawn, draw, plausible, rows_that_fit
from harness.runtimes.feeds import batch, check_finite, fixed_batch
from harness.runtimes.layout import settle
from harness.runtimes.sizes import assignments, ladders, sized
from harness.runtimes.words import is_batch
from harness.spec.arrays import Array
from harness.spec.metrics import nearest
from harness.spec.synthetic import ROWS, SCALAR, Synthetic, read_line

Mark: TypeAlias = Callable[[str], None]
_SHOWN = 200


class Model(NamedTuple):
    """What guessing needs of a loaded model: its signature, how it is called, and what its graph tells."""

    inputs: tuple[Tensor, ...]
    infer: Infer
    hints: Callable[[], Mapping[str, Hint]] = dict
    clock: Callable[[], int] = time.perf_counter_ns


class Guess(NamedTuple):
    """Inputs that were chosen; `arrays` have their rows in front.

    `tried` guesses were run, the chosen one took `first_ns`: the model's first inference that came to an end.
    """

    drawn: tuple[Drawn, ...]
    arrays: dict[str, Array]
    tried: int = 0
    first_ns: int | None = None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The model's inputs with sizes and layout settled."""
        return tuple(each.tensor for each in self.drawn)

    @property
    def lines(self) -> dict[str, str]:
        """The inputs as a user would write them, by name."""
        return {each.tensor.name: each.line for each in self.drawn}


def find(model: Model, spec: Synthetic, seed: int, mark: Mark = lambda _: None) -> Guess:
    """Return inputs that the model runs with. `mark` is called before each guess that is run.

    Raises InputError where the description does not fit, or no guess works.
    """
    _check_names(model.inputs, spec)
    plain = settle(model.inputs)
    if not spec.dims and not spec.inputs and _is_plain(plain):
        return _made(_drawn(plain, {}, spec), spec, seed)
    hints = model.hints()
    tensors = tuple(_described(tensor, spec) for tensor in settle(model.inputs, hints))
    if all(_is_complete(tensor.name, spec) for tensor in tensors):
        return _made(_drawn(tensors, {}, spec), spec, seed)
    return _tried(model._replace(inputs=tensors), hints, spec, seed, mark)


def _tried(model: Model, hints: Mapping[str, Hint], spec: Synthetic, seed: int, mark: Mark) -> Guess:
    """Run guesses until one works; then find out whether it also works with two rows."""
    found, said, spoilt = ladders(model.inputs, hints, spec.dims), list[str](), None
    for number, sizes in enumerate(assignments(found), 1):
        drawn = _drawn(tuple(sized(tensor, sizes) for tensor in model.inputs), hints, spec)
        mark("inputs")
        try:
            outputs, took_ns = _run(model, drawn, fixed_batch([each.tensor for each in drawn]) or 1, seed)
        except OutputError:
            spoilt = spoilt or _made(drawn, spec, seed)._replace(tried=number)
        except (ModelError, MemoryError) as error:
            said.append(first_line(error)[:_SHOWN])
        else:
            mark("inputs")
            bound = _bound(model, drawn, outputs, seed)
            return _made(bound, spec, seed)._replace(tried=number, first_ns=took_ns)
    if spoilt is not None:
        return spoilt  # it runs, and gives NaN or nothing: not the inputs' fault as far as can be known
    raise InputError(_nothing_works(model.inputs, found, spec, said))


def _run(model: Model, drawn: tuple[Drawn, ...], rows: int, seed: int) -> tuple[Sequence[Array], int]:
    """Run one inference; returns outputs and ns.

    Raises ModelError with the runtime's words, MemoryError, OutputError where NaN, infinity or nothing comes out.
    """
    feed = batch([each.tensor for each in drawn], draw(drawn, rows, seed), 0, rows)
    with model_errors("the runtime says"):
        begin = model.clock()
        outputs = model.infer(feed)
        took_ns = model.clock() - begin
    check_finite(outputs)
    if outputs and all(isinstance(output, np.ndarray) and output.size == 0 for output in outputs):
        # some runtimes go on where sizes do not fit each other
        raise OutputError("every output is empty")
    return outputs, took_ns


def _bound(model: Model, drawn: tuple[Drawn, ...], one: Sequence[Array], seed: int) -> tuple[Drawn, ...]:
    """Bind the batch to 1 where the model does not take two rows, or takes no notice of the second."""
    if fixed_batch([each.tensor for each in drawn]) is not None:
        return drawn
    try:
        two, _ = _run(model, drawn, 2, seed)
        if any(np.shape(a) != np.shape(b) for a, b in zip(one, two, strict=True)):
            return drawn
    except (ModelError, OutputError, MemoryError):
        pass
    return tuple(Drawn(_with_rows(tensor, 1), values) for tensor, values in drawn)


def _with_rows(tensor: Tensor, rows: int) -> Tensor:
    shape = tuple(rows if axis == tensor.axis else size for axis, size in enumerate(tensor.shape))
    return tensor._replace(shape=shape)


def _made(drawn: tuple[Drawn, ...], spec: Synthetic, seed: int) -> Guess:
    return Guess(drawn, draw(drawn, rows_that_fit(drawn, spec.rows), seed))


def _drawn(tensors: tuple[Tensor, ...], hints: Mapping[str, Hint], spec: Synthetic) -> tuple[Drawn, ...]:
    """Return inputs with the values that are described, else plausible ones."""
    given = {name: read_line(text).values for name, text in spec.inputs.items()}
    chosen = plausible(tensors, hints)
    return tuple(each._replace(values=given.get(each.tensor.name) or each.values) for each in chosen)


def _is_plain(tensors: tuple[Tensor, ...]) -> bool:
    """Whether a signature leaves nothing open but the number of rows: floats of known sizes, the batch in front."""
    batches = {tensor.shape[0] for tensor in tensors if tensor.shape}
    return len(batches) == 1 and all(
        tensor.dtype is not None
        and tensor.dtype.kind == "f"
        and tensor.axis == 0
        and len(tensor.shape) > 1
        and (isinstance(tensor.shape[0], int) or is_batch(tensor.shape[0]))
        and all(isinstance(size, int) for size in tensor.shape[1:])
        for tensor in tensors
    )


def _is_complete(name: str, spec: Synthetic) -> bool:
    """Whether an input is described with its values, as a guess that worked is."""
    line = read_line(spec.inputs[name]) if name in spec.inputs else None
    return line is not None and None not in (line.dtype, line.values)


def _described(tensor: Tensor, spec: Synthetic) -> Tensor:
    """Return an input with what was said of it. Raises InputError where that contradicts the model."""
    if tensor.name not in spec.inputs:
        if tensor.dtype is None or tensor.shape == ("...",):
            raise InputError(
                f"the model does not say the dtype and shape of its input '{tensor.name}'; say it: "
                f"--input {tensor.name}=1x3x224x224:float32, or give rows: --inputs rows.npz"
            )
        return tensor
    text = spec.inputs[tensor.name]
    line = read_line(text)
    said, dtype = f"--input {tensor.name}={text}", np.dtype(line.dtype) if line.dtype else tensor.dtype
    if dtype is None:
        raise InputError(f"{said}: the model does not say its dtype; write it: {tensor.name}={text}:float32")
    if tensor.dtype not in (None, dtype):
        raise InputError(f"{said}: the model wants {tensor.dtype}; write {text.partition(':')[0]}:{tensor.dtype}")
    return _shaped(tensor, line.shape, dtype, said)


def _shaped(tensor: Tensor, shape: tuple[int | str, ...], dtype: np.dtype[Any], said: str) -> Tensor:
    """Return an input with the sizes that were said; `N` is the axis that carries rows, of any number."""
    known: tuple[int | str, ...] = tensor.shape if tensor.shape != ("...",) else ("?",) * len(shape)
    fits = len(known) == len(shape) and all(
        isinstance(own, str) or size == own for own, size in zip(known, shape, strict=True)
    )
    if not fits:
        wanted = "x".join(str(size) if isinstance(size, int) else "*" for size in known) or SCALAR
        raise InputError(f"{said}: the model wants {wanted} (* is any size)")
    axis = shape.index(ROWS) if ROWS in shape else tensor.axis
    if axis is not None and shape and shape[axis] == 0:
        raise InputError(f"{said}: that is no row at all; write {ROWS} for any number of rows, or 1")
    return tensor._replace(shape=shape, dtype=dtype, axis=axis)


def _check_names(tensors: Sequence[Tensor], spec: Synthetic) -> None:
    """Raise InputError for a described name that the model lacks, if something of it was left undescribed."""
    inputs = [tensor.name for tensor in tensors]
    dims = list(dict.fromkeys(size for tensor in tensors for size in tensor.shape if isinstance(size, str)))
    for option, given, known in (("--input", spec.inputs, inputs), ("--dim", spec.dims, dims)):
        wrong = next((name for name in given if name not in known), None)
        if wrong is not None and not set(known) <= set(given):
            what = "input" if option == "--input" else "dimension"
            raise InputError(f"{option} {wrong}: the model has no {what} of this name ({nearest(wrong, known)})")


def _nothing_works(
    tensors: Sequence[Tensor], found: Mapping[str, Sequence[int]], spec: Synthetic, said: Sequence[str]
) -> str:
    """Say that no guess works, in the runtime's words, and what to type."""
    open_dims = [name for name, ladder in found.items() if len(ladder) > 1]
    shapes = "; ".join(f"{t.name}: {t.dtype} [{', '.join(map(str, t.shape))}]" for t in tensors)
    dims = [f"--dim {name}=SIZE" for name in open_dims[:3]]
    likeliest = {symbol: ladder[0] for symbol, ladder in found.items()}
    example = plausible([sized(tensors[0], likeliest)], {})[0].line.rpartition(":")[0].replace(ROWS, "1")
    mends = [" ".join(dims)] if dims else []
    mends += [f"--input {tensors[0].name}={example}", "--inputs rows.npz"]
    count = f"none of {len(said)} guesses" if len(said) > 1 else "the inputs described" if spec.inputs else "the guess"
    verb = "runs" if len(said) > 1 else "does not run"
    return f"{count} of the inputs {verb} ({shapes}); {said[0] if said else ''}. Say it: {', or '.join(mends)}"


def lines_of(guess: Guess) -> Iterator[str]:
    """Yield the chosen inputs as they would be typed."""
    return (f"{name}={line}" for name, line in guess.lines.items())
