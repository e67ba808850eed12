"""Single files: whole or absent; what is no file is written to as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import EvidenceError
from harness.evidence.files import write_whole


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("before")

    def fail(to: Path) -> None:
        to.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(EvidenceError, match=r"x: cannot write evidence: No space left .*free some space"):
        write_whole(path, fail)
    assert path.read_text() == "before" and [each.name for each in tmp_path.iterdir()] == ["x"]


def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    """As in `harness export latest csv --out /dev/stdout`."""
    path = tmp_path / "link"
    path.symlink_to("/dev/null")
    write_whole(path, lambda to: to.write_text("text"))
    assert path.is_symlink() and path.is_char_device()
