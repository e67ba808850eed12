"""ONNX from fp32 to int8 by ONNX Runtime: static (calibrated), dynamic, or weights only.

The defaults are for CPUs, and the same on all of them, so that an artefact does not depend on where it was made:

- QDQ with uint8 activations and symmetric int8 weights: what ONNX Runtime 1.32 recommends for x86 with VNNI, and what
  ARM runs too. On x86 without VNNI the sum of two products may saturate; `reduce_range` (7 bits) prevents it.
  (Docstring of `onnxruntime.quantization.quantize_static`, "Choosing parameters for CPU inference".)
- Weights have a scale per output channel, which keeps convolutional networks within 2 % of fp32 (Krishnamoorthi 2018,
  arXiv:1806.08342). One scale per weight is smaller by a little; it was not measurably faster.
- Ranges of activations are the smallest and largest values of 256 calibration rows. Where rare outliers widen them,
  `percentile` (99.99 % of the values) or `entropy` keeps more (Wu et al. 2020, arXiv:2004.09602, compare the three).
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from harness.convert.base import Made, OptionError, Order
from harness.convert.calibration import calibration_feeds, checked_rows, method_used, missing_rows
from harness.convert.onnx_model import (
    OnnxOriginal,
    bytes_in_branches,
    is_external,
    prepared,
    refuse_unchanged,
    refuse_without_weights,
    save,
)
from harness.convert.onnx_static import Static
from harness.convert.onnx_static import quantised as static
from harness.convert.onnx_weights import dynamic, weights_only
from harness.runtimes.base import first_line, model_errors
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.outcome import Fact
from harness.spec.target import Option
from harness.spec.variant import Variant

_WORDS = {
    "calibration": ("minmax", "entropy", "percentile"),
    "activations": ("uint8", "int8"),
}
_BY_BATCH = "ranges of activations are taken over each batch, so that a prediction depends on the rows beside it"


class _Settings(NamedTuple):
    """The options by name; `method` "auto" is static where there are calibration rows, else dynamic."""

    method: str = "auto"
    calibration: str = "minmax"
    percentile: float = 99.99
    calibration_rows: int = 256
    per_channel: bool = True
    activations: str = "uint8"
    reduce_range: bool = False


class OnnxToInt8:
    """Quantises weights, and with `method` static or dynamic activations too; see the module for the defaults."""

    options: Mapping[str, type] = {name: type(value) for name, value in _Settings()._asdict().items()}
    defaults: Mapping[str, Option] = _Settings()._asdict()

    def load(self, variant: Variant) -> OnnxOriginal:
        """Load an ONNX model."""
        return OnnxOriginal(variant)

    def convert(self, original: OnnxOriginal, order: Order, folder: Path) -> Made:
        """Write `model.onnx`. Raises ModelError where nothing of the model can be int8, or quantising it fails."""
        settings = _checked(order.options, order.calibration is not None)
        external = is_external(original.path)
        with tempfile.TemporaryDirectory(dir=folder) as scratch, model_errors("int8 is not possible", first_line):
            model, used = _quantised(original, order, settings, Path(scratch), external)
            refuse_unchanged(model)
            left = _left(bytes_in_branches(model.graph))
            name = save(model, folder, external)
        missing = missing_rows(str(order.options["method"]), settings.method)
        by_batch = (diagnostic("dynamic_ranges", _BY_BATCH),) if settings.method == "dynamic" else ()
        return Made(name, used, (*missing, *by_batch, *left))


def _left(count: int) -> tuple[Diagnostic, ...]:
    """Say that weights within branches stay as they are, as ONNX Runtime's quantiser leaves them."""
    if not count:
        return ()
    text = f"{count / (1 << 20):.3g} MiB of weights within branches (If, Loop, Scan) stay in fp32"
    return (diagnostic("weights_left", text, bytes=count),)


def _checked(options: Mapping[str, Fact], calibrated: bool) -> _Settings:
    """Return the settings with the method that is used; raises OptionError where a value makes no sense."""
    settings = _Settings(**cast(dict[str, Any], dict(options)))
    for name, words in _WORDS.items():
        if getattr(settings, name) not in words:
            raise OptionError(f"{name}: '{getattr(settings, name)}' is none of {', '.join(words)}")
    checked_rows(settings.calibration_rows)
    if not 0 < settings.percentile <= 100:
        raise OptionError(f"percentile: must be above 0 and at most 100, not {settings.percentile:g}")
    return settings._replace(method=method_used(settings.method, calibrated))


def _quantised(
    original: OnnxOriginal, order: Order, settings: _Settings, scratch: Path, external: bool
) -> tuple[Any, dict[str, Fact]]:
    """Return the model in int8, and the settings as they were used (None: not at all)."""
    import onnx

    path = prepared(original.path, scratch)
    refuse_without_weights(onnx.load(str(path), load_external_data=False), "int8")
    used: dict[str, Fact] = dict.fromkeys(_Settings._fields)
    used |= {"method": settings.method, "per_channel": settings.per_channel}
    if settings.method == "weights":
        return weights_only(path, settings.per_channel), used
    used["reduce_range"] = settings.reduce_range
    if settings.method == "dynamic":
        return dynamic(path, settings.per_channel, settings.reduce_range, scratch, external), used
    feeds, rows = calibration_feeds(original.inputs, order.calibration or {}, settings.calibration_rows)
    how = Static(*(getattr(settings, name) for name in Static._fields))
    used |= how._asdict() | {"calibration_rows": rows}
    used["percentile"] = settings.percentile if settings.calibration == "percentile" else None
    return static(path, feeds, how, scratch, external), used
