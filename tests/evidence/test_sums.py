"""Checksums that `sha256sum -c` accepts, whatever files are called."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.evidence.sums import write_sums


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.txt", "b/c d.bin", "b/ü@x.json", "odd\\name", "two\nlines", " leading"):
        path = tmp_path / "f" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "f"


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("sha256sum") is None:
        pytest.skip("sha256sum is not installed")
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_sha256sum_accepts_every_file(folder):
    write_sums(folder)
    checked = check(folder)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count(": OK") == 6


def test_a_changed_byte_is_found_and_a_second_call_mends_it(folder):
    write_sums(folder)
    (folder / "a.txt").write_bytes(b"a.txu")
    assert check(folder).returncode == 1
    write_sums(folder)
    assert check(folder).returncode == 0
