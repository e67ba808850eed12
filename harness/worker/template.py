"""`python -m harness.worker.template RUNTIME CHANNEL`: import a runtime once, and fork a worker for each request.

CHANNEL is the descriptor of a SOCK_SEQPACKET socket. The template says "ready" when the runtime is imported. A request
is a folder and a root on two lines, then the files of the cgroups that the worker is to enter, with the descriptors of
a log, of a pipe for the exit status and, where the job takes turns, of the pipe that turns come by; the answer is the
process id, with a pidfd. The template starts no thread and no device: each fork loads its own model. The end of the
channel ends it.
"""

import gc
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from harness.runtimes.base import load_runtime, preload
from harness.spec.wire import PARENT_VARIABLE
from harness.worker.process import die_with_parent, enter
from harness.worker.turns import Turns
from harness.worker.work import end, work

_MESSAGE_BYTES = 1 << 16
_MOST_DESCRIPTORS = 4


class Template:
    """Serves one channel. `status` has the pipe for the exit status of each fork that lives, by its pidfd."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._status: dict[int, tuple[int, int]] = {}

    def serve(self) -> None:
        """Fork on request and report exits, until the channel ends."""
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._channel, selectors.EVENT_READ)
            while True:
                for key, _ in waiting.select():
                    if key.fileobj is not self._channel:
                        waiting.unregister(key.fileobj)
                        self._reap(key.fd)
                        continue
                    message, fds, _, _ = socket.recv_fds(self._channel, _MESSAGE_BYTES, _MOST_DESCRIPTORS)
                    if not message:
                        return
                    folder, root, *cgroups = message.decode().split("\n")
                    waiting.register(self._fork(Path(folder), Path(root), cgroups, fds), selectors.EVENT_READ)

    def _fork(self, folder: Path, root: Path, cgroups: list[str], fds: list[int]) -> int:
        """Fork a worker and send its process id; returns its pidfd."""
        log, status, *pipe = fds
        template, pid = os.getpid(), os.fork()
        if pid == 0:
            self._become_worker(template, log, status)
            enter(cgroups)
            end(work(folder, root, Turns((pipe[0], pipe[1]) if pipe else None), fresh=False))
        pidfd = os.pidfd_open(pid)
        self._status[pidfd] = (pid, status)
        for descriptor in (log, *pipe):
            os.close(descriptor)
        socket.send_fds(self._channel, [str(pid).encode()], [pidfd])
        return pidfd

    def _become_worker(self, template: int, log: int, status: int) -> None:
        """Leave everything of the template (a process id) behind, in the forked process."""
        os.setsid()
        os.environ[PARENT_VARIABLE] = str(template)
        die_with_parent()
        os.dup2(log, 1)
        os.dup2(log, 2)
        self._channel.close()
        for descriptor in (log, status, *(each for pair in self._status.items() for each in (pair[0], pair[1][1]))):
            os.close(descriptor)

    def _reap(self, pidfd: int) -> None:
        """Report how a fork ended: its exit status, or minus the signal that ended it."""
        pid, status = self._status.pop(pidfd)
        _, waited = os.waitpid(pid, 0)
        with suppress(OSError):
            os.write(status, str(os.waitstatus_to_exitcode(waited)).encode())
        os.close(status)
        os.close(pidfd)


def main(runtime: str, channel: int) -> None:
    """Import the runtime and serve."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    with suppress(Exception):  # a runtime that cannot be imported fails in each job, with its own words
        preload(load_runtime(runtime))
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=channel) as served:
        served.send(b"ready")
        Template(served).serve()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
