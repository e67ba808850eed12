"""Which axis of each input carries rows. A batch need not be in front, nor in every input, nor anywhere."""

from collections.abc import Mapping, Sequence

from harness.runtimes.base import Hint, Tensor
from harness.runtimes.words import SEQUENCE, dimension_words, is_batch, is_beside, is_state, is_unnamed
from harness.spec.arrays import Array

_NO_HINT = Hint()
_COLOURS = 3
_SMALLEST_IMAGE = 32


def settle(tensors: Sequence[Tensor], hints: Mapping[str, Hint] | None = None) -> tuple[Tensor, ...]:
    """Return the inputs with the axis that carries rows, as names, sizes and the main input's batch tell."""
    main, told = main_input(tensors), hints or {}
    axis = _main_axis(main, told.get(main.name, _NO_HINT))
    main = main._replace(axis=axis)
    beside = {t.name: _axis_beside(t, main, told.get(t.name, _NO_HINT)) for t in tensors if t.name != main.name}
    return tuple(main if t.name == main.name else t._replace(axis=beside[t.name]) for t in tensors)


def settle_by(tensors: Sequence[Tensor], arrays: Mapping[str, Array]) -> tuple[Tensor, ...]:
    """Return the inputs laid out as rows of a dataset show: an array with one axis more is fed whole, row by row."""
    return tuple(_by_array(tensor, arrays.get(tensor.name)) for tensor in settle(tensors))


def _by_array(tensor: Tensor, array: Array | None) -> Tensor:
    if array is None or tensor.shape == ("...",):
        return tensor
    if _is_fed_whole(tensor, array.shape[1:]):
        return tensor._replace(axis=None)
    return tensor if tensor.axis is not None or not tensor.shape else tensor._replace(axis=0)


def _is_fed_whole(tensor: Tensor, row: tuple[int, ...]) -> bool:
    """Whether a row of a dataset is all that an input takes; an open batch is no part of a row."""
    whole, size = tensor.shape, tensor.shape[tensor.axis] if tensor.axis is not None and tensor.shape else 1
    return (
        len(row) == len(whole)
        and not is_batch(size)
        and all(isinstance(own, str) or own == have for own, have in zip(whole, row, strict=True))
    )


def main_input(tensors: Sequence[Tensor]) -> Tensor:
    """Return the input that the others go with: the first that has axes and is no state, mask, length or rate."""
    arrays = [tensor for tensor in tensors if tensor.shape] or list(tensors)
    return next((tensor for tensor in arrays if not is_beside(tensor.name)), arrays[0])


def fixed_batch(tensors: Sequence[Tensor]) -> int | None:
    """Return the batch size a model is bound to, None when any will do; 1 where no input carries rows."""
    sizes = [tensor.shape[tensor.axis] for tensor in tensors if tensor.axis is not None and tensor.shape]
    return next((size for size in sizes if isinstance(size, int)), None if sizes else 1)


def most_rows(tensors: Sequence[Tensor]) -> int | None:
    """Return the most rows that a model takes at once, None when there is no bound."""
    return min((tensor.most for tensor in tensors if tensor.most is not None), default=None)


def _main_axis(tensor: Tensor, hint: Hint) -> int | None:
    shape = tensor.shape
    named = _named(shape)
    if named is not None or not shape:
        return named
    if hint.batch is not None and (isinstance(shape[hint.batch], str) or shape[hint.batch] == 1):
        return hint.batch
    if shape == ("...",) or shape[0] == 1:
        return 0
    return None if len(shape) == 1 or _is_picture(shape) or _is_sequence(shape[0], tensor) else 0


def _named(shape: tuple[int | str, ...]) -> int | None:
    return next((axis for axis, size in enumerate(shape) if is_batch(size)), None)


def _is_picture(shape: tuple[int | str, ...]) -> bool:
    """Whether this is one image without a batch: colours, height, width."""
    large = all(isinstance(size, str) or size >= _SMALLEST_IMAGE for size in shape[1:])
    return len(shape) == 3 and shape[0] == _COLOURS and large


def _is_sequence(size: int | str, tensor: Tensor) -> bool:
    return isinstance(size, str) and not is_unnamed(size, tensor) and not SEQUENCE.isdisjoint(dimension_words(size))


def _axis_beside(tensor: Tensor, main: Tensor, hint: Hint) -> int | None:
    shape = tensor.shape
    rows = main.shape[main.axis] if main.axis is not None else None
    if rows is not None and rows in shape and isinstance(rows, str):
        return shape.index(rows)
    named = _named(shape)
    if named is not None or not shape or rows is None:
        return named
    if hint.batch is not None and (isinstance(shape[hint.batch], str) or shape[hint.batch] in (1, rows)):
        return hint.batch
    return _axis_by_size(tensor, rows)


def _axis_by_size(tensor: Tensor, rows: int | str) -> int | None:
    """Find the axis of an input whose batch has no name: of any size as the main input's, or of the same size."""
    shape, state = tensor.shape, is_state(tensor.name)
    if shape[0] == rows:
        return 0
    unnamed = [axis for axis, size in enumerate(shape) if is_unnamed(size, tensor)]
    if unnamed and (unnamed[0] == 0 or isinstance(rows, str) or state):
        return unnamed[0]
    if isinstance(rows, int) and rows > 1:
        return shape.index(rows) if rows in shape else None
    if state or shape[0] == 1:
        return shape.index(1) if 1 in shape else None
    return None
