"""A job in a process on this machine: wait without spinning, watch, enforce deadlines, end its group."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.errors import EvidenceError
from harness.evidence.files import cannot_write
from harness.evidence.folder import OUTCOME, TelemetryLog, read_events, read_outcome, succeeded, write_outcome
from harness.launch import verdict
from harness.launch.base import OnPhase
from harness.launch.cgroup import Group
from harness.launch.child import Child
from harness.launch.sampler import Sampler
from harness.probes.base import Probes
from harness.probes.host import oom_kills
from harness.spec.outcome import Launched, Outcome
from harness.spec.wire import Job, Trial

TICK_S = 0.2
_LAST_S = 30.0
"""How long a process may take to end after its last sign of life, its evidence written."""
_OVERRUN = 4.0
"""A window may last this many times its seconds: requests that do not count, a model that became slower."""
_LOG_LIMIT = 8 << 20
_LOG_KEPT = 1 << 20
_CUT = b"[the beginning of this log was removed: it grew beyond its limit]\n"


class Started(NamedTuple):
    """The moment a job was started: CLOCK_MONOTONIC (ns), and how many processes the kernel had killed for memory.

    `group` is the job's own cgroup, if one was made; `alone`: it takes no turns with other jobs.
    """

    begin_ns: int
    oom_kills: int | None
    group: Group | None = None
    alone: bool = True


class Ended:
    """A job that has ended already."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def wait(self, on_phase: OnPhase) -> Outcome:
        """Return the outcome."""
        return self._outcome

    def watch(self, on_phase: OnPhase, since: float) -> bool:
        """Return False: it is not late."""
        return False

    def ended(self) -> bool:
        """Return True."""
        return True

    def pause(self, paused: bool) -> None:
        """Do nothing."""

    def finish(self, late: bool = False) -> Outcome:
        """Return the outcome."""
        return self._outcome

    def end(self) -> None:
        """Do nothing."""


class ProcessJob:
    """One child process while it lives: it is watched, kept to its deadlines, and its end is named."""

    def __init__(
        self, folder: Path, job: Job, timeout_s: float, child: Child, launched: Launched, started: Started
    ) -> None:
        self._folder, self._job, self._timeout_s, self._child = folder, job, timeout_s, child
        self._launched, self._started = launched, started
        self._phase, self._phase_since, self._offset = "", time.monotonic(), 0
        device = job.target.device if isinstance(job, Trial) else "cpu"
        self._probes, self._peak = Probes(device, alone=started.alone), 0
        self._pids: tuple[int, ...] = (child.pid,)
        self._outcome: Outcome | None = None
        self._sampler: Sampler | None = None
        self._probes.start(self._pids)
        try:
            self._telemetry = TelemetryLog(folder, self._probes.columns)
            self._sampler = Sampler(folder, self._probes)
        except OSError as error:
            self.end()
            raise cannot_write(folder, error) from error
        self._sample()

    def wait(self, on_phase: OnPhase) -> Outcome:
        """Wait for the end, sampling every tick; the outcome gets what the launcher knows of the job."""
        begin = time.monotonic()
        while not self._child.ended(TICK_S):
            if self.watch(on_phase, begin):
                return self.finish(late=True)
        return self.finish()

    def watch(self, on_phase: OnPhase, since: float) -> bool:
        """Sample, follow the job's phases, and say whether it is late."""
        self._follow_events()
        self._sample()
        self._cut_log()
        on_phase(self._phase)
        return time.monotonic() - max(since, self._phase_since) > self._deadline_s()

    def ended(self) -> bool:
        """Whether the child has ended."""
        return self._child.ended(0.0)

    def pause(self, paused: bool) -> None:
        """Stop the child and what it started, or let them go on."""
        self._child.pause(paused)

    def finish(self, late: bool = False) -> Outcome:
        """End the job if it has not ended, and name its end; later calls return the same outcome."""
        if self._outcome is None:
            self._outcome = self._finished(late)
        return self._outcome

    def end(self) -> None:
        """End the child and whatever it started, and reap it."""
        self._child.kill()
        self._child.returncode()
        self._stop_watching()
        self._probes.close()
        if self._started.group is not None:
            self._started.group.remove()

    def _finished(self, late: bool) -> Outcome:
        if late or not self._child.ended(_LAST_S):
            late = True
            self._child.kill()
        returncode = self._child.returncode()
        wall_ns = time.monotonic_ns() - self._started.begin_ns
        self._sample()
        self._telemetry.close()
        self._follow_events()
        self._cut_log()
        self._stop_watching()
        outcome = self._verdict(late, returncode)
        launched = msgspec.structs.replace(self._launched, wall_ns=wall_ns, probes=self._probes.records())
        if self._started.group is not None:
            self._started.group.remove()
        outcome = msgspec.structs.replace(outcome, launched=launched, pids=outcome.pids or self._pids)
        try:
            write_outcome(self._folder, outcome)
        except EvidenceError:
            (self._folder / OUTCOME).unlink(missing_ok=True)  # half a record: the job is to be done again
            raise
        return outcome

    def _stop_watching(self) -> None:
        if self._sampler is not None:
            self._sampler.stop()
            self._sampler = None

    def _sample(self) -> None:
        stamp, values = time.perf_counter_ns(), self._probes.sample()
        self._peak = max(self._peak, int(values.get("process.peak_bytes") or 0))
        self._telemetry.add((stamp, *values.values()))

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
        """Seconds without progress that the present phase, or a turn of it, may take."""
        if not isinstance(self._job, Trial) or ":" not in self._phase:
            return self._timeout_s
        rule, longest = self._job.warm_up, max(scenario.seconds for scenario in self._job.scenarios)
        return self._timeout_s + max(_OVERRUN * longest, rule.limit_seconds, rule.limit_fraction * longest)

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

    def _verdict(self, late: bool, returncode: int) -> Outcome:
        """Return the child's outcome, or name its end where it left none."""
        group = self._started.group
        kills = group.oom_kills() if group is not None else None
        if kills and (late or returncode != 0 or not succeeded(self._folder)):
            return verdict.out_of_memory(kills, self._phase)
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
        kernel_oom = kills is None and (oom_kills() or 0) > (self._started.oom_kills or 0)
        limit = self._job.resources.memory_limit_bytes if isinstance(self._job, Trial) else None
        return verdict.without_outcome(returncode, self._phase, kernel_oom, limit, self._peak)
