"""A small disk of its own for tests that fill it up or make it read-only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class Disk:
    """A tmpfs: a real file system with a real end."""

    def __init__(self, path: Path, size_kib: int) -> None:
        self.path = path
        path.mkdir()
        self._do("mount", "-t", "tmpfs", "-o", f"size={size_kib}k,mode=1777", "tmpfs", str(path))

    def _do(self, *command: str) -> None:
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        subprocess.run([*sudo, *command], check=True, capture_output=True, timeout=30)

    def resize(self, size_kib: int) -> None:
        """Give the disk another size."""
        self._do("mount", "-o", f"remount,size={size_kib}k", str(self.path))

    def read_only(self, yes: bool = True) -> None:
        """Refuse writes, or take them again."""
        self._do("mount", "-o", f"remount,{'ro' if yes else 'rw'}", str(self.path))

    def leave(self, kib: int) -> None:
        """Fill the disk up to the last `kib` KiB."""
        balloon = self.path / "balloon"
        balloon.unlink(missing_ok=True)
        free = os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_frsize
        balloon.write_bytes(bytes(free - (kib << 10)))

    def close(self) -> None:
        """Unmount, whoever still looks at it."""
        self._do("umount", "--lazy", str(self.path))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount a disk of 1 MiB; skipped where mounting is not allowed."""
    try:
        made = Disk(tmp_path / "disk", 1024)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", b"") or str(error).encode()
        pytest.skip(f"a small disk needs the right to mount a tmpfs: {said.decode().strip()}")
    yield made
    made.close()
