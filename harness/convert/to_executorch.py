"""PyTorch to ExecuTorch: torch.export, then lowering to XNNPACK; for int8, torchao's PT2E quantisation before that.

A program takes one row at a time unless the target's `max_batch` says more. ExecuTorch sets aside memory for the most
rows whatever it is called with: with a bound of 15 rows, MobileNetV2 took 114 MiB for one row in place of 22.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from harness.convert.base import OptionError, Order
from harness.convert.from_torch import TorchOriginal, export
from harness.runtimes.base import Feed, ModelError, Tensor, first_line, model_errors
from harness.runtimes.executorch import Signature, load_program
from harness.runtimes.feeds import batch, fixed_batch, match, rows_in
from harness.runtimes.layout import settle, settle_by
from harness.spec.arrays import Array
from harness.spec.variant import Variant

_CALIBRATION_ROWS, _CALIBRATION_BATCH = 256, 64
_METHODS = ("static", "dynamic")
_FILE = "model.pte"
_Made = TypeVar("_Made")


class Batch(NamedTuple):
    """Inputs that a model is traced with, and the most rows it is to take; None: as many as these have, no others."""

    example: Feed
    most: int | None


class TorchToExecuTorch:
    """Lowers a model in its own precision. Option: `max_batch`."""

    options: Mapping[str, type] = {"max_batch": int}

    def load(self, variant: Variant) -> TorchOriginal:
        """Load a module or an exported program."""
        return TorchOriginal(variant)

    def convert(self, original: TorchOriginal, order: Order, folder: Path) -> str:
        """Write `model.pte`."""
        return _write(original, original.module, order, folder)


class TorchToExecuTorchInt8:
    """Quantises weights and activations, as XNNPACK computes in int8; weights symmetrically, by default per channel.

    `method = "static"` (the default) takes the activations' ranges from up to `calibration_rows` rows of the
    calibration split; "dynamic" takes them at each call, which XNNPACK does for linear layers only.
    """

    options: Mapping[str, type] = {"max_batch": int, "method": str, "per_channel": bool, "calibration_rows": int}

    def load(self, variant: Variant) -> TorchOriginal:
        """Load a module or an exported program."""
        return TorchOriginal(variant)

    def convert(self, original: TorchOriginal, order: Order, folder: Path) -> str:
        """Write `model.pte`."""
        method = order.options.get("method", _METHODS[0])
        if method not in _METHODS:
            raise OptionError(f"method: '{method}' is none of {', '.join(_METHODS)}")
        if method == "static" and order.calibration is None:
            mend = 'give [dataset] a calibration split, or the target conversion.method = "dynamic"'
            raise ModelError(f"static int8 needs rows to take ranges from: {mend}")
        _count(order, "calibration_rows", _CALIBRATION_ROWS)
        shapes = _shapes(original.inputs, order.example, _CALIBRATION_BATCH)
        return _write(original, _first(shapes, lambda shape: _quantised(original, order, shape)), order, folder)


def _write(original: TorchOriginal, module: Any, order: Order, folder: Path) -> str:
    """Lower a module; with an open batch only if that gives each row what it gets alone."""
    most = _count(order, "max_batch", 1)

    def written(shape: Batch) -> str:
        (folder / _FILE).write_bytes(_lowered(module, original.inputs, shape))
        if shape.most is not None and not _rows_alike(folder / _FILE, shape.example):
            raise ModelError("rows together do not get what they get alone")
        return _FILE

    return _first(_shapes(original.inputs, order.example, most), written)


def _count(order: Order, key: str, default: int) -> int:
    count = order.options.get(key, default)
    if not isinstance(count, int) or count < 1:
        raise OptionError(f"{key}: must be 1 at least, not {count}")
    return count


def _shapes(inputs: tuple[Tensor, ...], example: Feed, most: int) -> list[Batch]:
    """Return what to trace with, best first: an open batch of up to `most` rows, one row; the model's own if fixed."""
    fixed = fixed_batch(settle(inputs))
    single = Batch({name: array[: fixed or 1] for name, array in example.items()}, None)
    return [Batch(example, most), single] if fixed is None and most > 1 else [single]


def _first(shapes: Sequence[Batch], make: Callable[[Batch], _Made]) -> _Made:
    """Return what is made of the first shape that works; raises the last one's ModelError."""
    for shape in shapes[:-1]:
        with suppress(ModelError):
            return make(shape)
    return make(shapes[-1])


def _lowered(module: Any, inputs: tuple[Tensor, ...], shape: Batch) -> bytes:
    """Return the program; raises ModelError where ExecuTorch cannot express the model."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    told = Signature(tuple(tensor.name for tensor in inputs), shape.most is not None).text()
    with model_errors("executorch cannot express the model", first_line):
        lowered = to_edge_transform_and_lower(
            _exported(module, inputs, shape),
            partitioner=[XnnpackPartitioner()],
            constant_methods={Signature.METHOD: told},
        )
        return bytes(lowered.to_executorch().buffer)


def _exported(module: Any, inputs: tuple[Tensor, ...], shape: Batch) -> Any:
    import torch

    rows = None if shape.most is None else torch.export.Dim("batch", min=1, max=shape.most)
    return export(module, inputs, shape.example, rows)


def _rows_alike(path: Path, example: Feed) -> bool:
    """Whether a program gives two rows together what it gives them one by one."""
    session = load_program(path, threads=1)
    together = session.infer(example)
    alone = [session.infer({name: array[row : row + 1] for name, array in example.items()}) for row in range(2)]
    return all(_alike(whole, parts) for whole, *parts in zip(together, *alone, strict=True))


def _alike(whole: Array, parts: list[Array]) -> bool:
    apart = np.concatenate(parts)
    scale = float(np.abs(apart).max(initial=0.0))
    return whole.shape == apart.shape and np.allclose(whole, apart, rtol=1e-3, atol=1e-3 * scale)


def _quantised(original: TorchOriginal, order: Order, shape: Batch) -> Any:
    """Return the module with quantised operators, as XNNPACK's quantiser wants them."""
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    dynamic, per_channel = order.options.get("method") == "dynamic", bool(order.options.get("per_channel", True))
    config = get_symmetric_quantization_config(is_per_channel=per_channel, is_dynamic=dynamic)
    with model_errors("the model cannot be quantised", first_line), torch.no_grad():
        traced = _exported(original.module, original.inputs, shape).module()
        prepared = prepare_pt2e(traced, XNNPACKQuantizer().set_global(config))
        for feed in _calibration(original.inputs, order, shape):
            prepared(*(torch.from_numpy(feed[tensor.name]) for tensor in original.inputs))
        return convert_pt2e(prepared)


def _calibration(inputs: tuple[Tensor, ...], order: Order, shape: Batch) -> Iterator[Feed]:
    """Yield the calibration rows in batches that the traced module takes; without them, the example."""
    if order.calibration is None:
        yield shape.example
        return
    arrays = match(inputs, order.calibration)
    tensors, size = settle_by(inputs, arrays), rows_in(shape.example) if shape.most is None else shape.most
    count = min(_count(order, "calibration_rows", _CALIBRATION_ROWS), rows_in(arrays))
    for start in range(0, count, size):
        yield batch(tensors, arrays, start, size if shape.most is None else min(size, count - start))
