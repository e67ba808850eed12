"""One cold start: a fresh process in a fresh cgroup is started, becomes ready, answers a few requests, and is ended."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import NamedTuple

import msgspec
import numpy as np

from harness.errors import EvidenceError
from harness.evidence.files import read_arrays
from harness.evidence.folder import HANDLER, INVOKE, LATENCY, START, read_events, save_requests, write_outcome
from harness.launch import verdict
from harness.launch.base import OnPhase, Terms
from harness.launch.cgroup import Group
from harness.launch.child import Spawned
from harness.launch.environment import environment
from harness.launch.guard import Guard
from harness.launch.limits import Quota
from harness.launch.process import found
from harness.probes.cgroupfs import number
from harness.serverless import storage
from harness.serverless.door import Answer, Door, Exited, Late, Raised, Unspeakable
from harness.serverless.ends import INIT, Garbage, handler_ns, named
from harness.spec.outcome import Launched, Memory, Outcome, Started
from harness.spec.rows import as_json
from harness.spec.target import Lifecycle
from harness.spec.wire import ColdStart

_ENDING_S = 1.0
"""How long a process that has said goodbye may take to end, so that its exit status names its end."""
OnTick = Callable[[], None]
_MARKS = ("up", "own", "owned", "imported", "loaded")


class Grant(NamedTuple):
    """What a launcher gives a cold start: what it knows of it, its cgroup, the descriptors it inherits, its guard."""

    launched: Launched
    group: Group | None
    inherit: tuple[int, ...]
    guard: Guard | None = None


class ColdStartJob:
    """A cold start while it lives. The thread that waits for it is its platform: nothing else runs meanwhile."""

    def __init__(self, folder: Path, job: ColdStart, terms: Terms, door: Door, grant: Grant) -> None:
        assert job.target.lifecycle is not None, "a target whose launcher starts instances has a lifecycle"
        self._folder, self._job, self._terms, self._door, self._grant = folder, job, terms, door, grant
        self._life: Lifecycle = job.target.lifecycle
        self._child: Spawned | None = None
        self._phase, self._inits, self._spawned_ns, self._lost_ns = INIT, 0, 0, 0
        self._pids: tuple[int, ...] = ()
        self._outcome: Outcome | None = None

    def wait(self, on_phase: OnPhase) -> Outcome:
        """Go through the start and the requests, and return the outcome, which is also in the folder."""
        if self._outcome is None:
            begin_ns = time.monotonic_ns()
            outcome = self._attempt(lambda: on_phase(self._phase))
            self.end()
            launched = msgspec.structs.replace(self._grant.launched, wall_ns=time.monotonic_ns() - begin_ns)
            self._outcome = msgspec.structs.replace(outcome, launched=launched, pids=self._pids)
            write_outcome(self._folder, self._outcome)
        return self._outcome

    def end(self) -> None:
        """End the process with everything it started, and remove its cgroup."""
        self._stop()
        self._door.close()
        if self._grant.group is not None:
            self._grant.group.remove()

    def _attempt(self, tick: OnTick) -> Outcome:
        try:
            events = self._events()
            resident = self._prepare_storage()
            return self._started(events, resident, tick)
        except (Late, Exited, Raised, Unspeakable, Garbage) as error:
            ended = self._child is not None and self._child.ended(_ENDING_S if not isinstance(error, Late) else 0.0)
            group = self._grant.group
            kills = group.oom_kills() if group is not None else None
            error = self._told() or error if isinstance(error, Exited) else error
            return named(error, self._phase, self._life, self._inits, kills, self._stop() if ended else None)
        except Unsendable as error:
            return Outcome(status="failed", failure="input_error", message=str(error), by="launcher")
        except OSError as error:
            return verdict.not_started(self._terms.python or sys.executable, error)

    def _started(self, events: Sequence[bytes], resident: float | None, tick: OnTick) -> Outcome:
        deadline, ready_ns = self._init(tick)
        self._give(self._job_quota())
        answers = [self._ask(events[0], 1, deadline, tick), self._ask(events[1], 2, None, tick)]
        end = time.monotonic() + self._job.seconds
        while len(answers) < len(events) and time.monotonic() < end:
            time.sleep(self._grant.launched.resources.settle_s)  # sparse requests find the quota unused
            answers.append(self._ask(events[len(answers)], len(answers) + 1, None, tick))
        group = self._grant.group
        peak = number(Path(file)) if group is not None and (file := group.files().memory_peak) else None
        self._stop()
        handlers = [handler_ns(answer.body) for answer in answers]
        arrays = {
            START: np.array([answer.begin_ns for answer in answers], dtype=np.int64),
            LATENCY: np.array([answer.end_ns - answer.begin_ns for answer in answers], dtype=np.int64),
            HANDLER: np.array(handlers, dtype=np.int64),
        }
        return Outcome(
            status="ok",
            by="launcher",
            begin_ns=self._spawned_ns,
            started=self._phases(answers, ready_ns, resident),
            memory=Memory(charged_bytes=peak),
            files=save_requests(self._folder, INVOKE, arrays),
        )

    def _init(self, tick: OnTick) -> tuple[float | None, int]:
        """Start the process and wait until it is ready; returns when, behind the first request's deadline, if any.

        A function whose INIT takes too long is started again, as a part of its first request.
        """
        self._spawn(self._life.init_cpus)
        try:
            return None, self._door.ready(time.monotonic() + self._life.init_s, tick)
        except Late:
            if not self._door.repeats_init:
                raise
        self._stop()
        before = self._spawned_ns
        self._spawn(None)
        self._lost_ns = self._spawned_ns - before
        deadline = time.monotonic() + self._life.timeout_s
        return deadline, self._door.ready(deadline, tick)

    def _spawn(self, cpus: float | None) -> None:
        """Start a process in the cgroup, with this CPU time per time while it is not ready; None: as later."""
        group, resources = self._grant.group, self._grant.launched.resources
        self._give(self._job_quota() if cpus is None else _quota(cpus, self._terms.limits.cpu_period_ms))
        folder, root = str(self._folder), str(self._terms.root)
        python = self._terms.python or sys.executable
        command = [python, "-P", "-m", "harness.worker.boot", folder, root, self._door.handler]
        env = environment(os.environ, resources.threads) | dict(self._door.environment())
        command = group.wrapped(found(command)) if group is not None else command
        with (self._folder / "worker.log").open("ab", buffering=0) as log:
            self._inits += 1
            self._spawned_ns = time.perf_counter_ns()
            process = Popen(
                command,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                pass_fds=self._grant.inherit,
                start_new_session=True,
            )
        self._child = Spawned(process, self._grant.guard)
        self._pids = (*self._pids, process.pid)
        self._door.opened(self._child.pidfd)

    def _ask(self, event: bytes, count: int, deadline: float | None, tick: OnTick) -> Answer:
        self._phase = f"request {count}"
        return self._door.ask(event, deadline or time.monotonic() + self._life.timeout_s, tick)

    def _stop(self) -> int | None:
        """End the process, if there is one, and return how it ended."""
        child, self._child = self._child, None
        if child is None:
            return None
        child.kill()
        return child.returncode()

    def _give(self, quota: Quota | None) -> None:
        if self._grant.group is not None and quota is not None:
            self._grant.group.set_quota(quota)

    def _job_quota(self) -> Quota | None:
        """Return the quota of the target's limits; None where they have none that may be held back."""
        limits = self._terms.limits
        return None if limits.cpu_time is None else _quota(limits.cpu_time, limits.cpu_period_ms)

    def _events(self) -> list[bytes]:
        """Return the requests, one row each. Raises Unsendable where one is larger than the platform takes."""
        arrays = read_arrays(self._terms.root / self._job.rows)
        if not arrays:
            raise EvidenceError(f"{self._terms.root / self._job.rows}: there are no rows to send")
        first, found = self._job.block * self._job.requests, list[bytes]()
        for row in range(first, first + self._job.requests):
            rows = {name: as_json(array[row % len(array)][None]) for name, array in arrays.items()}
            found.append(json.dumps({"rows": rows}).encode())
        largest = max(map(len, found))
        if largest > self._door.most_bytes:
            taken = f"the platform takes {self._door.most_bytes / 1e6:.3g} MB"
            raise Unsendable(f"a request with one row has {largest / 1e6:.3g} MB; {taken}")
        return found

    def _prepare_storage(self) -> float | None:
        """Bring the artefact's pages into the state that the target says; returns the fraction in memory."""
        files = storage.files_of(self._job.variant, self._terms.root)
        if self._life.storage == "cold":
            storage.evict(files)
        else:
            storage.warm(files)
        return storage.resident(files)

    def _told(self) -> Raised | None:
        """Return what a process that could not load its model left as a mark."""
        events = read_events(self._folder)[0]
        if not events or events[-1].phase != "failed":
            return None
        kind, _, text = events[-1].note.partition(": ")
        return Raised(kind, text, in_init=True)

    def _phases(self, answers: Sequence[Answer], ready_ns: int, resident: float | None) -> Started:
        """Return the phases, by the marks of the last process that was started."""
        told = {event.phase: event.t_ns for event in read_events(self._folder)[0] if event.t_ns >= self._spawned_ns}
        if not all(phase in told for phase in _MARKS):
            raise Unspeakable("left no marks of its phases")
        up, own, owned, imported, loaded = (told[phase] for phase in _MARKS)
        return Started(
            own_ns=owned - own,
            interpreter_ns=up - self._spawned_ns,
            imports_ns=imported - up - (owned - own),
            load_ns=loaded - imported,
            first_ns=answers[0].end_ns - loaded,
            second_ns=answers[1].end_ns - answers[1].begin_ns,
            init_ns=ready_ns - self._spawned_ns - (owned - own),
            lost_ns=self._lost_ns,
            inits=self._inits,
            resident=resident,
        )


class Unsendable(Exception):
    """A row is larger than the platform takes in one request."""


def _quota(cpus: float, period_ms: int) -> Quota:
    return Quota(round(cpus * period_ms * 1000), period_ms * 1000)
