from __future__ import annotations

import os

import pytest

from harness.serverless import storage
from harness.spec.variant import Variant

FSYNC = os.fsync  # the real one: tests' own process does not wait for the disk otherwise


def test_evicted_pages_are_gone_and_warm_ones_are_there(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", FSYNC)
    path = tmp_path / "model.bin"
    path.write_bytes(os.urandom(1 << 20))
    storage.warm([path])
    if storage.resident([path]) is None:
        pytest.skip("mincore does not tell")
    assert storage.resident([path]) == 1.0
    storage.evict([path])
    if storage.resident([path]) == 1.0:
        pytest.skip("this file system keeps its files in memory")
    assert storage.resident([path]) == 0.0
    storage.warm([path])
    assert storage.resident([path]) == 1.0


def test_files_that_are_not_there_are_no_error_and_not_known(tmp_path):
    storage.evict([tmp_path / "none"])
    storage.warm([tmp_path / "none"])
    assert storage.resident([tmp_path / "none"]) is None
    assert storage.resident([]) is None


def test_a_variants_files_are_those_that_were_staged_with_it(tmp_path):
    folder = tmp_path / "artefacts" / "abc"
    folder.mkdir(parents=True)
    for name in ("m.onnx", "m.onnx.data"):
        (folder / name).write_text("x")
    found = storage.files_of(Variant(format="onnx", path="artefacts/abc/m.onnx"), tmp_path)
    assert [path.name for path in found] == ["m.onnx", "m.onnx.data"]
    assert storage.files_of(Variant(format="torch", builder="a:b"), tmp_path) == []
