"""One measuring run at a time per machine: a lock file that names its holder.

The lock is flock(2) on an open file that children inherit: it ends when the last of them does, so that a
killed parent cannot leave a child measuring while another run begins.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import BusyError


def lock_path() -> Path:
    """Return the machine's lock file; `HARNESS_LOCK` overrides it."""
    return Path(os.environ.get("HARNESS_LOCK") or Path(tempfile.gettempdir()) / "harness.lock")


@contextmanager
def machine_lock(what: str) -> Iterator[int]:
    """Hold the machine for `what`; yields the descriptor children should inherit.

    Raises:
        BusyError: another run holds it; the message says who.
    """
    path = lock_path()
    descriptor = _open(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(path) from None
        os.ftruncate(descriptor, 0)
        stamp = time.strftime("%H:%M:%S")
        os.pwrite(descriptor, f"process {os.getpid()} since {stamp}: {what}\n".encode(), 0)
        yield descriptor
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise BusyError(
            f"{path}: the lock cannot be opened: {error.strerror} (set HARNESS_LOCK to a file you own)"
        ) from error
    return descriptor


def _busy(path: Path) -> BusyError:
    holder = path.read_text(encoding="utf-8", errors="replace").strip() or "a process that did not say who"
    return BusyError(
        f"another run is measuring on this machine: {holder}. Two at once would spoil each other's numbers; "
        "wait for it, or stop it"
    )
