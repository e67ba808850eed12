"""Formats are an open registry: plug-ins add some, and one that cannot be imported does not stop the others."""

from __future__ import annotations

import pytest

from harness.spec import plugins
from harness.spec.formats import ONNX, Format, format_of, formats, is_pickle, suffixes

REGISTERED = {"onnx": ONNX, "gguf": Format((".gguf",)), "torn": None, "mine": Format((".mine",), pickled=True)}


def loaded(group, name):
    if REGISTERED[name] is None:
        raise ImportError(name)
    return REGISTERED[name]


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(plugins, "names", lambda group: tuple(REGISTERED))
    monkeypatch.setattr(plugins, "load", loaded)


def test_a_plug_ins_format_is_known_by_name_and_suffix(registered):
    assert list(formats()) == ["onnx", "gguf", "mine"]
    assert format_of("m.gguf") == "gguf"
    assert suffixes() == (".onnx", ".gguf", ".mine")


def test_a_plug_ins_format_may_be_a_pickle(registered):
    assert is_pickle("x.mine")
    assert is_pickle("x.bin", "mine")
    assert not is_pickle("x.gguf", "gguf")


def test_the_formats_that_come_along_are_registered():
    assert set(formats()) >= {"onnx", "pt2", "torch", "checkpoint", "executorch", "litert", "sklearn", "fake"}
