from __future__ import annotations

import math

import pytest

from harness.convert.ways import too_far, wanted_format
from harness.spec.suite import Parity
from harness.spec.wire import ParityReport


@pytest.mark.parametrize(
    ("have", "loads", "wanted"),
    [
        ("onnx", ("onnx",), "onnx"),
        ("pt2", ("pt2", "torch"), "pt2"),
        ("pt2", ("onnx",), "onnx"),
        ("sklearn", ("onnx",), "onnx"),
        ("onnx", ("pt2",), None),
        ("fake", ("onnx",), None),
    ],
)
def test_a_format_is_kept_where_it_can_be(have, loads, wanted):
    assert wanted_format(have, loads) == wanted


def report(diff, same):
    return ParityReport(rows=200, max_abs_diff=diff, top1_agreement=same)


def test_what_is_within_both_tolerances_passes():
    assert too_far(report(1e-3, 0.99), Parity(max_abs_diff=1e-3, top1_agreement=0.99)) is None
    assert too_far(report(0.0, None), Parity(max_abs_diff=0, top1_agreement=1)) is None


def test_what_strays_is_said_with_the_key_that_allows_more():
    said = too_far(report(0.02, 1.0), Parity(max_abs_diff=1e-3))
    assert said == (
        "the converted model differs from its original by 0.02 on 200 rows "
        "(at most 0.001 is allowed: parity.max_abs_diff)"
    )
    said = too_far(report(0.0, 0.985), Parity(top1_agreement=0.99))
    assert said == (
        "the converted model has its original's top-1 class in 98.50% of 200 rows "
        "(at least 99.00% is needed: parity.top1_agreement)"
    )


def test_a_difference_that_is_no_number_is_too_far():
    assert too_far(report(math.nan, 1.0), Parity()) is not None
