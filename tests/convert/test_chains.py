"""Which conversions lead where. Names decide; nothing is imported."""

from __future__ import annotations

import pytest

from harness.convert.chains import Form, apply, chain, precisions
from harness.spec import plugins


def no_import(group, name):
    raise AssertionError(f"{group} {name} was imported")


@pytest.fixture
def registered(monkeypatch):
    """Register these conversions and no others."""

    def call(*names):
        monkeypatch.setattr(plugins, "names", lambda group: tuple(sorted(names)) if group == "conversions" else ())
        monkeypatch.setattr(plugins, "load", no_import)

    return call


@pytest.mark.parametrize(
    ("have", "loads", "steps"),
    [
        ("onnx", ("onnx",), ()),
        ("pt2", ("pt2", "torch"), ()),
        ("pt2", ("onnx",), ("pt2-to-onnx",)),
        ("torch", ("onnx",), ("torch-to-onnx",)),
        ("checkpoint", ("onnx",), ("checkpoint-to-onnx",)),
        ("sklearn", ("onnx",), ("sklearn-to-onnx",)),
        ("onnx", ("pt2",), None),
        ("fake", ("onnx",), None),
    ],
)
def test_what_is_registered_and_a_format_is_kept_where_it_can_be(have, loads, steps):
    assert chain(Form(have, "fp32"), loads, "fp32") == steps


@pytest.mark.parametrize("precision", ["int8", "fp16"])
@pytest.mark.parametrize("have", ["pt2", "torch", "checkpoint", "sklearn", "onnx"])
def test_every_format_that_becomes_onnx_becomes_it_in_lower_precision_too(have, precision):
    first = () if have == "onnx" else (f"{have}-to-onnx",)
    assert chain(Form(have, "fp32"), ("onnx",), precision) == (*first, f"onnx.fp32-to-onnx.{precision}")


def test_a_precision_that_nothing_makes_is_not_reached():
    assert chain(Form("pt2", "fp32"), ("onnx",), "int4") is None
    assert chain(Form("pt2", "fp32"), ("pt2", "torch"), "int8") is None
    assert chain(Form("onnx", "fp16"), ("onnx",), "fp32") is None
    assert chain(Form("pt2", "fp16"), ("onnx",), "fp16") == ("pt2-to-onnx",)  # this one keeps the precision


def test_a_chain_goes_through_formats_and_precisions(registered):
    registered("pt2-to-onnx", "onnx.fp32-to-onnx.int8", "onnx.int8-to-trt")
    assert chain(Form("pt2", "fp32"), ("onnx",), "int8") == ("pt2-to-onnx", "onnx.fp32-to-onnx.int8")
    assert chain(Form("pt2", "fp32"), ("trt",), "int8") == ("pt2-to-onnx", "onnx.fp32-to-onnx.int8", "onnx.int8-to-trt")
    assert chain(Form("pt2", "fp32"), ("trt",), "fp32") is None


def test_the_shortest_chain_is_taken_and_of_equal_ones_the_first_by_name(registered):
    registered("a-to-b", "b-to-d", "a-to-c", "c-to-d", "d-to-e", "a-to-e")
    assert chain(Form("a", "fp32"), ("e",), "fp32") == ("a-to-e",)
    assert chain(Form("a", "fp32"), ("d",), "fp32") == ("a-to-b", "b-to-d")


def test_a_circle_ends(registered):
    registered("a-to-b", "b-to-a", "b.fp32-to-b.fp16", "b.fp16-to-b.fp32")
    assert chain(Form("a", "fp32"), ("c",), "fp32") is None
    assert chain(Form("a", "fp32"), ("a",), "fp16") == ("a-to-b", "b.fp32-to-b.fp16", "b-to-a")


@pytest.mark.parametrize(
    ("name", "form", "result"),
    [
        ("pt2-to-onnx", Form("pt2", "fp16"), Form("onnx", "fp16")),
        ("pt2-to-onnx.int8", Form("pt2", "fp16"), Form("onnx", "int8")),
        ("pt2.fp32-to-onnx", Form("pt2", "fp32"), Form("onnx", "fp32")),
        ("pt2.fp32-to-onnx", Form("pt2", "fp16"), None),
        ("pt2-to-onnx", Form("onnx", "fp32"), None),
        ("pt2_to_onnx", Form("pt2", "fp32"), None),
        ("pt2-to-", Form("pt2", "fp32"), None),
    ],
)
def test_a_name_says_what_a_conversion_does(name, form, result):
    assert apply(name, form) == result


def test_the_precisions_that_can_be_had_are_known(registered):
    registered("pt2-to-onnx", "onnx.fp32-to-onnx.int8", "onnx.fp32-to-onnx.fp16", "onnx.fp32-to-tflite.int4")
    assert precisions(Form("pt2", "fp32"), ("onnx",)) == ("fp16", "fp32", "int8")
    assert precisions(Form("pt2", "int8"), ("onnx",)) == ("int8",)
    assert precisions(Form("fake", "fp32"), ("onnx",)) == ()
