"""The pure rule that names how a child ended when it left no outcome of its own."""

import signal

from harness.spec.outcome import Failure, Outcome
from harness.spec.wire import DISK_FULL


def signal_name(number: int) -> str:
    """Return a signal's name, or its number in words."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def without_outcome(
    returncode: int, phase: str, kernel_oom: bool, limit_bytes: int | None, peak_bytes: int | None
) -> Outcome:
    """Name the end of a child that left no outcome.

    `returncode` is as of `subprocess` (negative: minus the signal), `phase` the last one the child marked.
    `kernel_oom`: the host's OOM-kill counter rose while it ran, and the child had no cgroup with a counter of its own.
    `peak_bytes`: the highest resident size seen.
    """
    where = f"in phase '{phase or 'start'}'"
    if returncode < 0:
        name = signal_name(-returncode)
        if -returncode == signal.SIGKILL and kernel_oom:
            return _failed("oom", f"killed by the kernel for memory {where}", phase)
        at_limit = limit_bytes is not None and peak_bytes is not None and peak_bytes >= 0.8 * limit_bytes
        if at_limit and -returncode in (signal.SIGABRT, signal.SIGSEGV):
            return _failed("oom", f"{name} at its memory limit {where}", phase)
        return _failed("crash", f"ended by {name} {where}", phase)
    if returncode == 0:
        return _failed("protocol", f"exited 0 {where} without leaving an outcome", phase)
    return _failed("crash", f"exited with status {returncode} {where}; see worker.log", phase)


def out_of_memory(kills: int, phase: str) -> Outcome:
    """Name the end of a job in whose own cgroup the kernel killed processes for memory, whatever followed."""
    many = "it was" if kills == 1 else f"{kills} of its processes were"
    return _failed("oom", f"{many} killed by the kernel at its memory limit in phase '{phase or 'start'}'", phase)


def timed_out(phase: str, seconds: float) -> Outcome:
    """Name the end of a child that was ended because a phase took too long."""
    return _failed("timeout", f"no end of phase '{phase or 'start'}' after {seconds:.0f} s; stopped", phase)


def not_started(program: str, error: OSError) -> Outcome:
    """Name the end of a process that failed to start."""
    return _failed("crash", f"{program} cannot be started: {error.strerror or error} (target: python)", "")


def damaged(what: str, phase: str) -> Outcome:
    """Name the end of a child whose outcome cannot be read."""
    return _failed("protocol", f"left an outcome that cannot be read: {what}", phase)


def disk_full(returncode: int) -> bool:
    """Whether the child says that it could not write its evidence."""
    return returncode == DISK_FULL


def _failed(failure: Failure, message: str, phase: str) -> Outcome:
    return Outcome(status="failed", failure=failure, message=message, phase=phase, by="launcher")
