"""PyTorch to LiteRT by litert-torch; LiteRT from fp32 to int8 by ai-edge-quantizer.

A converted model takes one row at a time, or as many as its original if that takes no other number. LiteRT has no
64-bit integers here: inputs and outputs become int32.

int8 is the quantiser's static scheme: activations in int8, weights symmetric with a scale per output channel. Ranges
are the smallest and largest values of the calibration rows; the quantiser's own default, a moving average of each row's
ends, cut off the logits of our classifiers (mean error nine times as large). Inputs and outputs stay as they are.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

from harness.convert.base import Made, Order
from harness.convert.calibration import calibration_feeds, checked_rows, method_used, missing_rows
from harness.convert.from_torch import TorchOriginal
from harness.runtimes.base import (
    Feed,
    ModelError,
    NotPossible,
    first_line,
    local_path,
    main_output,
    model_errors,
)
from harness.runtimes.feeds import fixed_batch
from harness.runtimes.layout import settle
from harness.runtimes.litert import load_model
from harness.spec.arrays import Array
from harness.spec.outcome import Fact
from harness.spec.target import Option
from harness.spec.variant import Variant

_FILE = "model.tflite"


class TorchToLiteRt:
    """Converts a model in its own precision. It has no options."""

    options: Mapping[str, type] = {}

    def load(self, variant: Variant) -> TorchOriginal:
        """Load a module or an exported program."""
        return TorchOriginal(variant)

    def convert(self, original: TorchOriginal, order: Order, folder: Path) -> str:
        """Write `model.tflite`, whose inputs have the original's names."""
        import litert_torch
        import torch

        rows = fixed_batch(settle(original.inputs)) or 1
        example = {name: torch.from_numpy(array[:rows]) for name, array in order.example.items()}
        names = [tensor.name for tensor in original.inputs]
        with _quiet(litert_torch), model_errors("litert cannot express the model", first_line):
            converted = litert_torch.convert(_by_name(original.module, names), sample_kwargs=example)
            converted.export(str(folder / _FILE))
        return _FILE


def _by_name(module: Any, names: list[str]) -> Any:
    """Return a module that takes its inputs by name: they become the names of the signature."""
    import torch

    class ByName(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, **feed: Any) -> Any:
            return self.module(*(feed[name] for name in names))

    made = ByName()
    made.training = False  # not `eval()`, which an exported program's module refuses
    return made


@contextmanager
def _quiet(library: Any) -> Iterator[None]:
    """Keep the progress of a conversion out of the log, which is for what goes wrong."""
    before, library.config.show_progress = library.config.show_progress, False
    try:
        yield
    finally:
        library.config.show_progress = before


class LiteRtOriginal:
    """A LiteRT model that is to be quantised."""

    def __init__(self, variant: Variant) -> None:
        self.path = local_path(variant)
        self.session = load_model(self.path, threads=1)
        self.inputs = self.session.inputs

    def predict(self, feed: Feed) -> Array:
        """Return the main output."""
        return main_output(self.session.infer(feed), self.session.outputs, None)


class _Settings(NamedTuple):
    """The options by name; `method` "auto" is static where there are calibration rows, else dynamic."""

    method: str = "auto"
    calibration_rows: int = 256
    per_channel: bool = True


class LiteRtToInt8:
    """Quantises weights, and with `method` static or dynamic activations too."""

    options: Mapping[str, type] = {name: type(value) for name, value in _Settings()._asdict().items()}
    defaults: Mapping[str, Option] = _Settings()._asdict()

    def load(self, variant: Variant) -> LiteRtOriginal:
        """Load a LiteRT model."""
        return LiteRtOriginal(variant)

    def convert(self, original: LiteRtOriginal, order: Order, folder: Path) -> Made:
        """Write `model.tflite`. Raises NotPossible where nothing of the model can be int8."""
        asked = _Settings(**cast(dict[str, Any], dict(order.options)))
        settings = asked._replace(
            method=method_used(asked.method, order.calibration is not None),
            calibration_rows=checked_rows(asked.calibration_rows),
        )
        from ai_edge_quantizer.quantizer import Quantizer

        used: dict[str, Fact] = settings._asdict() | {"calibration_rows": None}
        plan = _plan(settings)
        with model_errors("int8 is not possible", first_line):
            ranges = None
            if settings.method == "static":
                ranges, used["calibration_rows"] = _ranges(original, order, settings.calibration_rows, plan)
            quantizer = Quantizer(original.path, plan.get_quantization_recipe())
            made = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
            (folder / _FILE).write_bytes(made.quantized_model)
            _refuse_unchanged(folder / _FILE)
        return Made(_FILE, used, missing_rows(asked.method, settings.method))


def _plan(settings: _Settings) -> Any:
    """Return what is to be quantised, and how: all that the quantiser can, but inputs and outputs."""
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.qtyping import QuantGranularity, TFLOperationName
    from ai_edge_quantizer.recipe_manager import RecipeManager

    plan, every = RecipeManager(), TFLOperationName.ALL_SUPPORTED
    scales = QuantGranularity.CHANNELWISE if settings.per_channel else QuantGranularity.TENSORWISE
    if settings.method == "static":
        plan.add_static_config(".*", every, 8, 8, weight_granularity=scales)
        for end in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
            plan.add_quantization_config(".*", end, algorithm_key=AlgorithmName.NO_QUANTIZE)
        return plan
    add: Callable[..., None] = plan.add_dynamic_config if settings.method == "dynamic" else plan.add_weight_only_config
    add(".*", every, 8, granularity=scales)
    return plan


def _ranges(original: LiteRtOriginal, order: Order, most: int, plan: Any) -> tuple[Any, int]:
    """Return the ranges of activations, and from how many rows; raises ModelError where the model has no signature."""
    from ai_edge_quantizer.calibrator import CalibrationMode, Calibrator
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    if original.session.signature is None:
        raise ModelError(
            "the model has no signature, by which the quantiser feeds it: use conversion.method = 'dynamic'"
        )
    feeds, rows = calibration_feeds(original.inputs, order.calibration or {}, most)
    mode = CalibrationMode.CALIBRATION_PROFILER_BASED  # five to eight times as fast as keeping every tensor
    calibrator = Calibrator(str(original.path), 1, mode, min_max_update)
    calibrator.calibrate({original.session.signature: list(feeds())}, plan)
    return calibrator.get_model_qsvs(), rows


def _refuse_unchanged(path: Path) -> None:
    """Refuse a result without a tensor in int8; raises NotPossible."""
    if "int8" not in load_model(path, threads=1).dtypes():
        raise NotPossible("none of the model's weights became int8")
