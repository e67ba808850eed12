"""Artefacts: which code decides a conversion, and staged files that must not change."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.errors import SpecError
from harness.pipeline.artefacts import cache_key, digest_of, refuse_changed, stage
from harness.spec.variant import Variant

from .test_prepare import KEYED


def test_code_of_a_package_is_all_of_its_modules(tmp_path, monkeypatch):
    """A conversion's helpers stand beside it; the package is not imported for that."""
    package, info = tmp_path / "packaged_sketches", tmp_path / "packaged-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: packaged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harness.conversions]\ninner-to-outer = packaged_sketches.inner:Inner\n")
    (package / "__init__.py").write_text("raise AssertionError('imported')\n")
    (package / "inner.py").write_text("")
    (package / "helper.py").write_text("steps = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    keyed = {**KEYED, "conversion": "inner-to-outer"}
    before = cache_key(**keyed)
    (package / "helper.py").write_text("steps = 2\n")
    assert cache_key(**keyed) != before


@pytest.mark.parametrize("linked", [True, False])
def test_what_is_staged_is_refused_when_its_content_changes(tmp_path, monkeypatch, linked):
    """A hard link changes with the user's file; a copy, where links are not possible, does not."""
    if not linked:
        monkeypatch.setattr(Path, "hardlink_to", refused)
    given, root = tmp_path / "m.fake.toml", tmp_path / "run"
    given.write_text("latency_ms = 1.0\n")
    digest = digest_of([given])
    (path,) = stage(root, [given], digest)
    assert (root / path).samefile(given) is linked
    variant = Variant(format="fake", path=path, digest=digest)
    refuse_changed(variant, root)
    given.write_text("latency_ms = 9.0\n")
    if not linked:
        refuse_changed(variant, root)
        (root / path).write_text("latency_ms = 9.0\n")
    with pytest.raises(SpecError, match="has changed since the run began"):
        refuse_changed(variant, root)
    with pytest.raises(SpecError, match="cannot be read"):
        refuse_changed(msgspec.structs.replace(variant, path="nowhere"), root)


def refused(path, target):
    raise PermissionError(1, "Operation not permitted")
