"""A process that has been started: how its end is seen, what its exit status was, how it is ended."""

import os
import select
import signal
from contextlib import suppress
from subprocess import Popen
from typing import Protocol

from harness.launch.guard import Guard

LOST = -signal.SIGKILL
"""The exit status of a fork whose template was killed before it could report one."""


class Child(Protocol):
    """One process, the leader of its own group."""

    pid: int

    def ended(self, within_s: float) -> bool:
        """Wait for the end, for so long at most; returns whether it has come."""

    def returncode(self) -> int:
        """Wait for the end, end what is left of its group, and return the exit status; minus the signal, if one did."""

    def pause(self, paused: bool) -> None:
        """Stop all threads of the process and its group, or let them go on, if it has not ended."""

    def kill(self) -> None:
        """End the process and its group at once, if it has not ended."""


class Spawned:
    """A process that this one started. Raises OSError, and ends it, where it cannot be watched."""

    def __init__(self, process: Popen[bytes], guard: Guard | None = None) -> None:
        self.pid, self._process, self._guard = process.pid, process, guard
        try:
            self._pidfd: int | None = os.pidfd_open(process.pid)
        except OSError:
            process.kill()
            process.wait()
            raise
        if guard is not None:
            guard.add(self.pid)

    @property
    def pidfd(self) -> int:
        """The descriptor that can be read when the process has ended; it is closed when it was waited for."""
        assert self._pidfd is not None, "it was not waited for yet"
        return self._pidfd

    def ended(self, within_s: float) -> bool:
        """Wait for the end, for so long at most."""
        return self._pidfd is None or readable(self._pidfd, within_s)

    def returncode(self) -> int:
        """Wait for the end, end what is left of the group, and return the exit status."""
        if self._pidfd is not None:
            readable(self._pidfd, None)
            _end_group(self.pid, self._guard)  # not reaped yet: the number is still this process's
            os.close(self._pidfd)
            self._pidfd = None
        return self._process.wait()

    def pause(self, paused: bool) -> None:
        """Stop the process and its group, or let them go on."""
        if self._pidfd is not None:
            _pause_group(self.pid, paused)

    def kill(self) -> None:
        """End the process and its group."""
        if self._pidfd is not None:
            _kill_group(self.pid)


class Forked:
    """A process that a template forked: the template waits for it, and writes its exit status to a pipe."""

    def __init__(self, pid: int, pidfd: int, status: int, guard: Guard | None = None) -> None:
        self.pid, self._pidfd, self._status, self._guard = pid, pidfd, status, guard
        self._returncode: int | None = None
        if guard is not None:
            guard.add(pid)

    def ended(self, within_s: float) -> bool:
        """Wait for the end, for so long at most."""
        return self._returncode is not None or readable(self._status, within_s)

    def returncode(self) -> int:
        """Wait for the end, end what is left of the group, and return the exit status."""
        if self._returncode is None:
            text = os.read(self._status, 32)
            self._returncode = int(text) if text else LOST
            _end_group(self.pid, self._guard)
            os.close(self._status)
            os.close(self._pidfd)
        return self._returncode

    def pause(self, paused: bool) -> None:
        """Stop the process and its group, or let them go on."""
        if self._returncode is None:
            _pause_group(self.pid, paused)

    def kill(self) -> None:
        """End the process and its group."""
        if self._returncode is None:
            _kill_group(self.pid)
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)  # it may not lead its group yet


def readable(descriptor: int, within_s: float | None) -> bool:
    """Wait until a descriptor can be read, for so long at most (None: without end); returns whether it can."""
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    return bool(ready.poll(None if within_s is None else within_s * 1000))


def _pause_group(pid: int, paused: bool) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGSTOP if paused else signal.SIGCONT)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _end_group(pid: int, guard: Guard | None) -> None:
    """Kill what an ended process has left of its group."""
    _kill_group(pid)
    if guard is not None:
        guard.drop(pid)
