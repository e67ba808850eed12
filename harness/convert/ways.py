"""Which formats can be made from which, and how far the result may stray. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence

from harness.spec.suite import Parity
from harness.spec.wire import ParityReport

WAYS: dict[str, tuple[str, ...]] = {
    "pt2": ("onnx",),
    "torch": ("onnx",),
    "checkpoint": ("onnx",),
    "sklearn": ("onnx",),
}
"""Format → the formats that can be made from it."""

MAKERS = ("torch", "onnx", "onnxscript", "skl2onnx", "onnxruntime")
"""The packages whose versions decide what a conversion gives."""


def wanted_format(have: str, loads: Sequence[str]) -> str | None:
    """Return the format to give a runtime: the candidate's own if it loads that, else one made of it."""
    if have in loads:
        return have
    return next((made for made in WAYS.get(have, ()) if made in loads), None)


def too_far(report: ParityReport, tolerance: Parity) -> str | None:
    """Say how a conversion strays beyond the tolerance; None when it does not."""
    if not report.max_abs_diff <= tolerance.max_abs_diff:
        return (
            f"the converted model differs from its original by {report.max_abs_diff:.3g} "
            f"on {report.rows} rows (at most {tolerance.max_abs_diff:g} is allowed: parity.max_abs_diff)"
        )
    agreement = report.top1_agreement
    if agreement is not None and agreement < tolerance.top1_agreement:
        return (
            f"the converted model has its original's top-1 class in {agreement:.2%} of {report.rows} rows "
            f"(at least {tolerance.top1_agreement:.2%} is needed: parity.top1_agreement)"
        )
    return None
