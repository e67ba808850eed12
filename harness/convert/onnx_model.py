"""ONNX models as conversions take and leave them: loaded, prepared for another precision, saved without ballast."""

import math
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from harness.runtimes.base import Feed, NotPossible, main_output
from harness.runtimes.onnxruntime import OnnxRuntime
from harness.spec.arrays import Array
from harness.spec.target import Target
from harness.spec.variant import Variant

_ANYWHERE = Target(description="a plain session", runtime="onnxruntime")
_WEIGHTED: dict[str, tuple[int, ...]] = {
    "Gather": (0,),
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "MatMul"), (1,)),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), (1, 2)),
}
"""Operators with weights, by the places of these among their inputs."""
_GROWTH = 1.1
_SHOWN = 5


class OnnxOriginal:
    """An ONNX model, loaded by ONNX Runtime."""

    def __init__(self, variant: Variant) -> None:
        self._session = OnnxRuntime().load(variant, _ANYWHERE, 1, 0, 0)
        self.path = Path(variant.path or "")
        self.inputs, self.hints = self._session.inputs, self._session.hints

    def predict(self, feed: Feed) -> Array:
        """Run the model as it is; its main output is the first of floats."""
        return main_output(self._session.infer(feed), self._session.outputs, None)


def prepared(path: Path, scratch: Path) -> Path:
    """Write into `scratch` the same model as quantisers want it, and return its path.

    Constants are folded, batch normalisation is merged into convolutions, and the type of every tensor is inferred.
    ONNX's own inference does that; the symbolic one would add shapes, but needs sympy, which may not be installed.
    Where folding makes the model larger, by tables that it computes from a few numbers, it is not done.
    """
    given, external = _raised(path, scratch), is_external(path)
    folded = _inferred(given, scratch / "folded.onnx", external)
    if _bytes_of(folded) <= _GROWTH * _bytes_of(given):
        return folded
    return _inferred(given, scratch / "unfolded.onnx", external, fold=False)


def _inferred(path: Path, result: Path, external: bool, fold: bool = True) -> Path:
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(
        str(path),
        str(result),
        skip_optimization=not fold,
        skip_symbolic_shape=True,
        save_as_external_data=external,
        all_tensors_to_one_file=external,
        external_data_location=_beside(result).name if external else None,
    )
    return result


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.data")


def _bytes_of(path: Path) -> int:
    """Return the size of a model's file and of all files that its weights are in."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    stored = (onnx.external_data_helper.ExternalDataInfo(each) for each in external_tensors(model))
    return sum((path.parent / name).stat().st_size for name in {path.name, *(each.location for each in stored)})


def _raised(path: Path, scratch: Path) -> Path:
    """Return the model with operators of version 13 at least, which have a scale per channel, and IR version 4.

    Before that IR version, constants were listed among the inputs.
    """
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    old = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx") and each.version < 13]
    if not old and model.ir_version >= 4:
        return path
    model = onnx.load(str(path))
    constants = {each.name for each in model.graph.initializer}
    kept = [each for each in model.graph.input if each.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, 7)
    result = scratch / "raised.onnx"
    onnx.save_model(onnx.version_converter.convert_version(model, 13) if old else model, str(result))
    return result


def is_external(path: Path) -> bool:
    """Whether a model keeps weights in a file beside it, as those of more than 2 GiB must."""
    import onnx

    return bool(external_tensors(onnx.load(str(path), load_external_data=False)))


def external_tensors(model: Any) -> list[Any]:
    """Return the constants of a model that are in a file beside it."""
    import onnx

    return [each for each in model.graph.initializer if onnx.external_data_helper.uses_external_data(each)]


def weights(graph: Any) -> Iterator[tuple[Any, str]]:
    """Yield each node of the main graph that computes with a constant of two axes or more, with the constant's name."""
    from onnx import TensorProto

    large = {each.name for each in graph.initializer if each.data_type == TensorProto.FLOAT and len(each.dims) > 1}
    for node in graph.node:
        places = [at for at in _WEIGHTED.get(node.op_type, ()) if at < len(node.input)]
        yield from ((node, node.input[at]) for at in places if node.input[at] in large)


def channel_axis(node: Any, axes: int) -> int | None:
    """Return the axis of a weight of `axes` axes that its output's channels are on; None for a table."""
    if node.op_type == "Gather":
        return None
    if node.op_type == "Gemm":
        return 0 if any(each.name == "transB" and each.i for each in node.attribute) else 1
    return 0 if node.op_type == "Conv" else axes - 1 if node.op_type == "MatMul" else 1


def refuse_without_weights(model: Any, what: str) -> None:
    """Refuse a model that has no weights that could be `what`; raises NotPossible."""
    if next(weights(model.graph), None) is None:
        names = sorted({node.op_type for node in model.graph.node})
        has = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        raise NotPossible(f"the model has no weights that can be {what}: its operators are {has}")


def refuse_unchanged(model: Any) -> None:
    """Refuse a result without a weight in int8; raises NotPossible."""
    from onnx import TensorProto

    kinds = (TensorProto.INT8, TensorProto.UINT8)
    if not any(each.data_type in kinds and len(each.dims) > 1 for each in model.graph.initializer):
        raise NotPossible("none of the model's weights became int8")


def bytes_in_branches(graph: Any) -> int:
    """Return how many bytes of fp32 constants of two axes or more lie in the subgraphs of If, Loop and Scan."""
    from onnx import TensorProto

    total = 0
    for inner in _subgraphs(graph):
        made = [each.t for node in inner.node if node.op_type == "Constant" for each in node.attribute]
        large = [t for t in (*inner.initializer, *made) if t.data_type == TensorProto.FLOAT and len(t.dims) > 1]
        total += sum(4 * math.prod(each.dims) for each in large) + bytes_in_branches(inner)
    return total


def _subgraphs(graph: Any) -> Iterator[Any]:
    for attribute in (each for node in graph.node for each in node.attribute):
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def save(model: Any, folder: Path, external: bool) -> str:
    """Write `model.onnx`, tidied; returns its name. With `external`, weights go into `model.onnx.data`."""
    import onnx

    name = "model.onnx"
    data = {"save_as_external_data": True, "location": _beside(folder / name).name} if external else {}
    onnx.save_model(tidied(model), str(folder / name), **data)
    return name


def tidied(model: Any) -> Any:
    """Remove what no runtime reads: texts, metadata, inferred shapes, names of nodes. Inner tensors get short names.

    Exporters and quantisers write more of it than a small model has weights. Names are kept where a graph has
    subgraphs, which may use them.
    """
    del model.metadata_props[:], model.graph.metadata_props[:], model.graph.value_info[:]
    model.doc_string = model.graph.doc_string = ""
    for part in (*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    nested = any(each.HasField("g") or each.graphs for node in model.graph.node for each in node.attribute)
    if not nested and not model.graph.sparse_initializer:
        _shorten(model.graph)
    used = {"", *(node.domain for node in model.graph.node), *(each.domain for each in model.functions)}
    kept = [each for each in model.opset_import if each.domain in used or model.functions]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    return model


def _shorten(graph: Any) -> None:
    """Number the inner tensors of a graph without subgraphs, and take the nodes' names away."""
    fixed = {"", *(each.name for each in (*graph.input, *graph.output))}
    free = filter(lambda name: name not in fixed, map("t{}".format, count()))
    names = {name: name for name in fixed}
    for name in (*(each.name for each in graph.initializer), *(each for node in graph.node for each in node.output)):
        if name not in names:
            names[name] = next(free)
    for each in graph.initializer:
        each.name = names[each.name]
    for node in graph.node:
        node.name = ""
        for side in (node.input, node.output):
            side[:] = [names[name] for name in side]
