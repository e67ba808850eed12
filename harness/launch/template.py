"""Templates: one fresh interpreter per block and runtime environment, which imports the runtime and forks workers.

A fork starts in milliseconds, where a fresh process imports its runtime first. Forks of one template differ less than
fresh processes do (in the addresses of the libraries, for one), so that a template must not outlive its block.
"""

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import NamedTuple

from harness.launch.child import Child, Forked, readable
from harness.launch.environment import environment
from harness.launch.guard import Guard

_READY_S = 120.0
_ANSWER_S = 10.0


class Environment(NamedTuple):
    """What trials must share to be forks of one template: interpreter, runtime, and threads set before its import."""

    python: str
    runtime: str
    threads: int


class Template:
    """One template process. `fork` returns None when it does not answer, from the first time on: it is then ended.

    Else it would go on importing beside what is measured, or fork a worker at last on a job that another one does.
    """

    def __init__(self, of: Environment, inherit: Iterable[int], guard: Guard | None = None) -> None:
        self._guard = guard
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = Popen(
                [of.python, "-P", "-m", "harness.worker.template", of.runtime, str(theirs.fileno())],
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=DEVNULL,
                env=environment(os.environ, of.threads),
                pass_fds=(*inherit, theirs.fileno()),
                start_new_session=True,
            )
        self._ready: bool | None = None

    def fork(
        self, folder: Path, root: Path, log: int, turns: tuple[int, int] | None, enter: tuple[str, ...] = ()
    ) -> Child | None:
        """Fork a worker on a job's folder; its output goes to the descriptor `log`.

        `enter` are files of cgroups, which it writes itself into before anything else.
        """
        if self._ready is None:
            self._ready = self._answer(_READY_S) is not None
        if not self._ready:
            self.close()
            return None
        status, theirs = os.pipe()
        try:
            message = "\n".join((str(folder), str(root), *enter)).encode()
            socket.send_fds(self._channel, [message], [log, theirs, *(turns or ())])
            answer = self._answer(_ANSWER_S)
        except OSError:
            answer = None
        finally:
            os.close(theirs)
        if answer is None:
            os.close(status)
            self._ready = False
            self.close()
            return None
        pid, pidfd = answer
        return Forked(pid, pidfd, status, self._guard)

    def _answer(self, within_s: float) -> tuple[int, int] | None:
        """Return the process id and the pidfd of an answer ((0, -1): ready); None when there is none in time."""
        if not readable(self._channel.fileno(), within_s):
            return None
        message, fds, _, _ = socket.recv_fds(self._channel, 64, 1)
        if message == b"ready":
            return 0, -1
        return (int(message), fds[0]) if message and fds else None

    def close(self) -> None:
        """End the template; forks that live end with it. Does nothing when it has ended."""
        self._channel.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()


class Templates:
    """The templates of one block. They import their runtimes at the same time, before anything is measured."""

    def __init__(self, wanted: Iterable[Environment], inherit: tuple[int, ...], guard: Guard | None = None) -> None:
        self._made: dict[Environment, Template] = {}
        for each in wanted:
            with suppress(OSError):  # it cannot be started: its trials are fresh processes, which say why
                self._made[each] = Template(each, inherit, guard)

    def of(self, environment: Environment | None) -> Template | None:
        """Return the template of an environment; None where there is none."""
        return None if environment is None else self._made.get(environment)

    def close(self) -> None:
        """End all of them."""
        for template in self._made.values():
            template.close()
        self._made.clear()
