"""How far a variant may differ from its original, and in which words it is refused."""

from __future__ import annotations

import math

import pytest

from harness.pipeline.artefacts import too_far
from harness.spec.suite import Parity, tolerance
from harness.spec.variant import ParityReport

FP32 = tolerance({}, "fp32")


def report(diff, same):
    return ParityReport(rows=200, max_abs_diff=diff, top1_agreement=same)


def test_what_is_within_both_tolerances_passes():
    assert too_far(report(1e-3, 0.99), Parity(max_abs_diff=1e-3, top1_agreement=0.99)) is None
    assert too_far(report(0.0, None), Parity(max_abs_diff=0, top1_agreement=1)) is None


def test_a_difference_that_is_too_large_is_said_with_the_key_that_allows_more():
    said = too_far(report(0.02, 1.0), Parity(max_abs_diff=1e-3))
    assert said == (
        "the converted model differs from its original by 0.02 on 200 rows "
        "(at most 0.001 is allowed: parity.max_abs_diff)"
    )
    said = too_far(report(0.0, 0.985), Parity(top1_agreement=0.99))
    assert said == (
        "the converted model has its original's top-1 class in 98.50 % of 200 rows "
        "(at least 99.00 % is needed: parity.top1_agreement)"
    )


def test_a_difference_that_is_no_number_is_too_far():
    assert too_far(report(math.nan, 1.0), FP32) is not None
    assert too_far(report(math.nan, 1.0), Parity(max_abs_diff=None)) is None  # not checked


@pytest.mark.parametrize(
    ("precision", "diff", "same"),
    [("fp32", 1e-3, 0.99), ("fp16", 2e-2, 0.99), ("bf16", 2e-2, 0.99), ("int8", None, 0.9), ("other", None, 0.9)],
)
def test_each_precision_has_its_tolerance_unless_the_suite_gives_one(precision, diff, same):
    assert tolerance({}, precision) == Parity(diff, same)
    own = Parity(0.5, 0.5)
    assert tolerance({precision: own}, precision) == own
    assert tolerance({"another": own}, precision) == Parity(diff, same)


def test_the_defaults_draw_the_line_where_they_say():
    assert too_far(report(1e-3, 0.99), FP32) is None
    assert "max_abs_diff" in too_far(report(1.1e-3, 1.0), FP32)
    assert "top1_agreement" in too_far(report(0.0, 0.98), FP32)
    assert too_far(report(100.0, 0.9), tolerance({}, "int8")) is None
    assert "top1_agreement" in too_far(report(0.0, 0.89), tolerance({}, "int8"))
