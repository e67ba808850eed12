"""Which release is the one before."""

from __future__ import annotations

import pytest

from harness.errors import SpecError
from harness.pipeline.release import baseline_of, releases


@pytest.fixture
def root(tmp_path):
    for version in ("0.9.0", "0.10.0", "1.0.0rc1", "1.0.0", "1.0.0.post1", "1.1.dev3"):
        (tmp_path / "release" / version).mkdir(parents=True)
        (tmp_path / "release" / version / "release.json").write_text("{}")
    (tmp_path / "release" / ".2.0.7").mkdir()
    return tmp_path


def test_versions_are_in_the_order_of_their_numbers(root):
    assert releases(root) == ["0.9.0", "0.10.0", "1.0.0rc1", "1.0.0", "1.0.0.post1", "1.1.dev3"]


@pytest.mark.parametrize(
    ("version", "before"),
    [("0.9.0", None), ("0.10.0", "0.9.0"), ("1.0.0", "1.0.0rc1"), ("1.1", "1.1.dev3"), ("2.0", "1.1.dev3")],
)
def test_the_last_one_before_a_version_is_its_base(root, version, before):
    assert baseline_of(root, version, None) == before


def test_another_base_can_be_wished_for(root):
    assert baseline_of(root, "2.0", "0.9.0") == "0.9.0"
    assert baseline_of(root, "2.0", "none") is None
    with pytest.raises(SpecError, match=r"no release '3\.0'"):
        baseline_of(root, "2.0", "3.0")
