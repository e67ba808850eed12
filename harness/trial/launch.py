"""Running one job in a fresh process: start it, wait without spinning, watch, enforce deadlines, end it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import RawIOBase
from pathlib import Path

from harness.errors import EvidenceError
from harness.spec.wire import PARENT_VARIABLE, Job, Outcome, Trial
from harness.trial import verdict
from harness.trial.folder import cannot_write, read_events, read_outcome, write_job, write_json
from harness.trial.watch import COLUMNS, View, look, oom_kills

TICK_S = 0.2
_LOG_LIMIT = 8 << 20
_LOG_KEPT = 1 << 20
_CUT = b"[the beginning of this log was cut: it grew beyond its limit]\n"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
OnTick = Callable[[str], None]


def run_job(
    folder: Path,
    job: Job,
    *,
    python: str | None = None,
    threads: int | None = None,
    timeout_s: float = 60.0,
    inherit: tuple[int, ...] = (),
    on_tick: OnTick = lambda phase: None,
) -> Outcome:
    """Write `job` into `folder`, do it in a fresh process, and return its outcome (also left on disk).

    Args:
        python: the interpreter; this one when None.
        threads: how many compute threads libraries may start (set before they are imported).
        timeout_s: how long any phase may take beyond its own measuring time.
        inherit: descriptors the child keeps open (the machine's lock).
        on_tick: called a few times a second with the child's current phase.

    Raises:
        EvidenceError: evidence cannot be written; the folder has no outcome and will be done again.
    """
    write_job(folder, job)
    child = _Child(folder, job, timeout_s, on_tick)
    outcome = child.run([python or sys.executable, "-P", "-m", "harness.worker", str(folder)], threads, inherit)
    if outcome.by == "parent":
        write_json(folder / "outcome.json", outcome)
    return outcome


class _Child:
    """One child process while it lives."""

    def __init__(self, folder: Path, job: Job, timeout_s: float, on_tick: OnTick) -> None:
        self._folder, self._job, self._timeout_s, self._on_tick = folder, job, timeout_s, on_tick
        self._phase, self._phase_since, self._offset = "", time.monotonic(), 0
        self._peak: int | None = None

    def run(self, command: list[str], threads: int | None, inherit: tuple[int, ...]) -> Outcome:
        kills_before = oom_kills()
        try:
            log = (self._folder / "worker.log").open("ab", buffering=0)
            telemetry = (self._folder / "telemetry.csv").open("wb", buffering=0)
        except OSError as error:
            raise cannot_write(self._folder, error) from error
        with log, telemetry:
            _add(telemetry, ",".join(COLUMNS) + "\n")
            try:
                process = _start(command, log, environment(os.environ, threads), inherit)
            except OSError as error:
                return verdict.not_started(command[0], error)
            try:
                late = self._wait(process, telemetry, log)
            finally:
                end_group(process)
            self._cut_log(log)
        kernel_oom = (oom_kills() or 0) > (kills_before or 0)
        return self._verdict(process.returncode, late, kernel_oom)

    def _wait(self, process: subprocess.Popen[bytes], telemetry: RawIOBase, log: RawIOBase) -> bool:
        """Wait for the end, looking every tick; returns whether a deadline passed."""
        descriptor = os.pidfd_open(process.pid)
        try:
            ready = select.poll()
            ready.register(descriptor, select.POLLIN)
            self._record(look(process.pid, static=True), telemetry)
            while not ready.poll(TICK_S * 1000):
                self._record(look(process.pid), telemetry)
                self._follow_events()
                self._cut_log(log)
                self._on_tick(self._phase)
                if time.monotonic() - self._phase_since > self._deadline_s():
                    return True
            return False
        finally:
            os.close(descriptor)

    def _record(self, view: View, telemetry: RawIOBase) -> None:
        if view.peak_bytes is not None:
            self._peak = max(self._peak or 0, view.peak_bytes)
        _add(telemetry, view.csv())

    def _follow_events(self) -> None:
        events, self._offset = read_events(self._folder, self._offset)
        if events:
            self._phase, self._phase_since = events[-1].phase, time.monotonic()

    def _deadline_s(self) -> float:
        """Seconds the present phase may take: the time-out, plus what it is meant to spend measuring."""
        name, _, scenario = self._phase.partition(":")
        if not isinstance(self._job, Trial) or not scenario:
            return self._timeout_s
        if name == "warm_up":
            return self._timeout_s + self._job.warm_up.max_seconds
        return self._timeout_s + self._job.stretch * max(s.seconds for s in self._job.scenarios)

    def _cut_log(self, log: RawIOBase) -> None:
        """Keep a chattering model from filling the disk; the last part of what it said stays."""
        if os.fstat(log.fileno()).st_size <= _LOG_LIMIT:
            return
        with suppress(OSError):
            with (self._folder / "worker.log").open("rb") as file:
                file.seek(-_LOG_KEPT, os.SEEK_END)
                tail = file.read(_LOG_KEPT)
            os.ftruncate(log.fileno(), 0)
            log.write(_CUT + tail)

    def _verdict(self, returncode: int, late: bool, kernel_oom: bool) -> Outcome:
        self._follow_events()
        if late:
            return verdict.timed_out(self._phase, self._deadline_s())
        if verdict.disk_full(returncode):
            raise EvidenceError(
                f"{self._folder}: the child could not write its evidence; see worker.log "
                "(if the disk is full, free some space; `harness run --resume` goes on from what is finished)"
            )
        try:
            outcome = read_outcome(self._folder)
        except EvidenceError as error:
            return verdict.damaged(str(error), self._phase)
        if outcome is not None and (returncode == 0 or outcome.status == "failed"):
            return outcome
        limit = self._job.memory_limit_bytes if isinstance(self._job, Trial) else None
        return verdict.without_outcome(returncode, self._phase, kernel_oom, limit, self._peak)


def _add(file: RawIOBase, text: str) -> None:
    """Add to telemetry as far as the disk has room; that it is full is for the child's evidence to say."""
    with suppress(OSError):
        file.write(text.encode("ascii"))


def _start(
    command: list[str], log: RawIOBase, env: Mapping[str, str], inherit: tuple[int, ...]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log.fileno(),
        stderr=log.fileno(),
        env=env,
        pass_fds=inherit,
        start_new_session=True,
    )


def environment(base: Mapping[str, str], threads: int | None) -> dict[str, str]:
    """Return the child's environment: `base`, its parent, and the thread settings libraries read at import."""
    env = {**base, PARENT_VARIABLE: str(os.getpid()), "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
    if threads is not None:
        env |= {name: str(threads) for name in _THREAD_VARIABLES}
    return env


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End the child and whatever it started, and reap it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
