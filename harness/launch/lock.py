"""One measuring run at a time per machine: a lock file that names its holder.

The lock is flock(2) on an open file that children inherit: it ends when the last of them does, so that a
killed parent cannot leave a child measuring while another run begins.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from harness.errors import BusyError


def lock_path() -> Path:
    """Return the machine's lock file; `HARNESS_LOCK` overrides it."""
    return Path(os.environ.get("HARNESS_LOCK") or Path(tempfile.gettempdir()) / "harness.lock")


@contextmanager
def machine_lock(what: str) -> Iterator[int]:
    """Hold the machine; yields the descriptor children should inherit. Raises BusyError, which says who holds it."""
    path = lock_path()
    descriptor = _open(path)
    with ExitStack() as stack:
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(path) from None
        stack.callback(_sign, descriptor, "")
        _sign(descriptor, f"process {os.getpid()} since {time.strftime('%H:%M:%S')}: {what}\n")
        yield descriptor


def _open(path: Path) -> int:
    """Open the lock, made by the first process and open to all users of the machine.

    An existing one is opened without O_CREAT: the kernel refuses that for another user's file in /tmp
    (fs.protected_regular). One that may only be read can be held all the same.
    """
    error: OSError = FileNotFoundError()
    for flags in (os.O_RDWR, os.O_RDONLY, os.O_RDWR | os.O_CREAT):
        try:
            descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
        except OSError as refused:
            error = refused
            continue
        if flags & os.O_CREAT:
            os.fchmod(descriptor, 0o666)
        return descriptor
    raise BusyError(f"{path}: the lock cannot be opened: {error.strerror} (set HARNESS_LOCK to a file you own)")


def _sign(descriptor: int, text: str) -> None:
    """Say in the lock who holds it, as far as it may be written; holding it does not depend on that."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _busy(path: Path) -> BusyError:
    holder = path.read_text(encoding="utf-8", errors="replace").strip() or "a process that did not say who"
    return BusyError(
        f"another run is measuring on this machine: {holder}. Two at once would disturb each other's measurements; "
        "wait for it, or stop it"
    )
