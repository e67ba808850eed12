"""A fresh process on this machine: start it, wait without spinning, watch, enforce deadlines, end its group."""

import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Self

import msgspec

from harness.errors import EvidenceError
from harness.evidence.files import cannot_write
from harness.evidence.folder import OUTCOME, TelemetryLog, read_events, read_outcome, write_job, write_outcome
from harness.launch import verdict
from harness.launch.base import PROCESS, Launcher, OnPhase, RunningJob, Terms
from harness.launch.environment import environment, grant, host_facts
from harness.launch.lock import machine_lock
from harness.probes.base import Probes
from harness.probes.host import oom_kills
from harness.spec.wire import Job, Launched, Outcome, Trial

TICK_S = 0.2
_LOG_LIMIT = 8 << 20
_LOG_KEPT = 1 << 20
_CUT = b"[the beginning of this log was removed: it grew beyond its limit]\n"


class ProcessLauncher:
    """Starts each job as a fresh interpreter on this machine. `inherit`: descriptors that its children keep open.

    Another launcher of this machine inherits it, with a `name` and a `command` of its own.
    """

    name = PROCESS

    def __init__(self, inherit: tuple[int, ...] = ()) -> None:
        self.inherit = inherit
        self._host = host_facts()

    @contextmanager
    def hold(self, what: str, beside: Sequence[Launcher] = ()) -> Iterator[Self]:
        """Hold the machine's lock, which children inherit; a launcher of this machine `beside` has it already."""
        with ExitStack() as stack:
            held = next((each.inherit for each in beside if isinstance(each, ProcessLauncher)), None)
            yield type(self)(held or (*self.inherit, stack.enter_context(machine_lock(what))))

    def command(self, folder: Path, terms: Terms) -> list[str]:
        """Return the command line of the worker; the job's deadline and signals are for the process it starts."""
        return [terms.python or sys.executable, "-P", "-m", "harness.worker", str(folder), str(terms.root)]

    def start(self, folder: Path, job: Job, terms: Terms) -> RunningJob:
        """Write the job with the resources granted here, and start the worker on it."""
        job = msgspec.structs.replace(job, resources=grant(terms.limits))
        write_job(folder, job)
        command, env = self.command(folder, terms), environment(os.environ, job.resources.threads)
        try:
            log = (folder / "worker.log").open("ab", buffering=0)
        except OSError as error:
            raise cannot_write(folder, error) from error
        launched = Launched(launcher=self.name, wall_ns=0, host=self._host, resources=job.resources)
        begin, kills = time.monotonic_ns(), oom_kills()
        try:
            process = Popen(
                command, stdin=DEVNULL, stdout=log, stderr=log, env=env, pass_fds=self.inherit, start_new_session=True
            )
        except OSError as error:
            outcome = msgspec.structs.replace(verdict.not_started(command[0], error), launched=launched)
            write_outcome(folder, outcome)
            return Ended(outcome)
        finally:
            log.close()
        return ProcessJob(folder, job, terms.timeout_s, process, launched, begin, kills)


class Ended:
    """A job that has ended already."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def wait(self, on_phase: OnPhase) -> Outcome:
        """Return the outcome."""
        return self._outcome

    def end(self) -> None:
        """Do nothing."""


class ProcessJob:
    """One child process while it lives."""

    def __init__(
        self,
        folder: Path,
        job: Job,
        timeout_s: float,
        process: Popen[bytes],
        launched: Launched,
        begin_ns: int,
        oom_kills_before: int | None,
    ) -> None:
        self._folder, self._job, self._timeout_s, self._process = folder, job, timeout_s, process
        self._launched, self._begin_ns, self._kills = launched, begin_ns, oom_kills_before
        self._phase, self._phase_since, self._offset = "", time.monotonic(), 0
        self._probes, self._peak = Probes(), 0
        self._pids: tuple[int, ...] = (process.pid,)

    def wait(self, on_phase: OnPhase) -> Outcome:
        """Wait for the end, sampling every tick; the outcome gets what the launcher knows of the job."""
        try:
            telemetry = TelemetryLog(self._folder, self._probes.columns)
        except OSError as error:
            self.end()
            raise cannot_write(self._folder, error) from error
        try:
            late = self._watch(telemetry, on_phase)
        finally:
            self.end()
            telemetry.close()
        wall_ns = time.monotonic_ns() - self._begin_ns
        self._follow_events()
        self._cut_log()
        outcome = self._verdict(late)
        launched = msgspec.structs.replace(self._launched, wall_ns=wall_ns, probes=self._probes.records())
        outcome = msgspec.structs.replace(outcome, launched=launched, pids=outcome.pids or self._pids)
        try:
            write_outcome(self._folder, outcome)
        except EvidenceError:
            (self._folder / OUTCOME).unlink(missing_ok=True)  # half a record: the job is to be done again
            raise
        return outcome

    def end(self) -> None:
        """End the child and whatever it started, and reap it."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _watch(self, telemetry: TelemetryLog, on_phase: OnPhase) -> bool:
        """Wait for the child, sampling every tick; returns whether a deadline passed."""
        descriptor = os.pidfd_open(self._process.pid)
        try:
            ready = select.poll()
            ready.register(descriptor, select.POLLIN)
            self._probes.start(self._pids)
            self._sample(telemetry)
            while not ready.poll(TICK_S * 1000):
                self._follow_events()
                self._sample(telemetry)
                self._cut_log()
                on_phase(self._phase)
                if time.monotonic() - self._phase_since > self._deadline_s():
                    return True
            return False
        finally:
            os.close(descriptor)

    def _sample(self, telemetry: TelemetryLog) -> None:
        stamp, values = time.perf_counter_ns(), self._probes.sample()
        self._peak = max(self._peak, int(values.get("process.peak_bytes") or 0))
        telemetry.add((stamp, *values.values()))

    def _follow_events(self) -> None:
        events, self._offset = read_events(self._folder, self._offset)
        if not events:
            return
        self._phase, self._phase_since = events[-1].phase, time.monotonic()
        pids = next((event.pids for event in reversed(events) if event.pids), self._pids)
        if pids != self._pids:
            self._pids = pids
            self._probes.start(pids)

    def _deadline_s(self) -> float:
        """Seconds the present phase may take: the time-out, plus what it is meant to spend measuring."""
        name, _, window = self._phase.partition(":")
        if not isinstance(self._job, Trial) or not window:
            return self._timeout_s
        if name == "warm_up":
            return self._timeout_s + self._job.warm_up.max_seconds
        longest = max(scenario.seconds for scenario in self._job.scenarios)
        return self._timeout_s + self._job.max_duration_factor * longest

    def _cut_log(self) -> None:
        """Keep a model's output from filling the disk; its last part stays."""
        path = self._folder / "worker.log"
        with suppress(OSError), path.open("r+b") as file:
            if os.fstat(file.fileno()).st_size > _LOG_LIMIT:
                file.seek(-_LOG_KEPT, os.SEEK_END)
                tail = file.read()
                file.truncate(0)
                file.seek(0)
                file.write(_CUT + tail)

    def _verdict(self, late: bool) -> Outcome:
        """Return the child's outcome, or name its end where it left none."""
        returncode = self._process.returncode
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
        kernel_oom = (oom_kills() or 0) > (self._kills or 0)
        limit = self._job.resources.memory_limit_bytes if isinstance(self._job, Trial) else None
        return verdict.without_outcome(returncode, self._phase, kernel_oom, limit, self._peak)
