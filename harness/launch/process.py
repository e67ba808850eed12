"""Jobs in processes on this machine: a fresh interpreter each, or forks of a template that a block shares."""

import errno
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Self

import msgspec

from harness.evidence.files import cannot_write
from harness.evidence.folder import write_job, write_outcome
from harness.launch import verdict
from harness.launch.base import PROCESS, Launcher, RunningJob, Terms
from harness.launch.cgroup import Group
from harness.launch.child import Child, Spawned
from harness.launch.environment import environment, host_facts
from harness.launch.guard import Guard, guard
from harness.launch.job import Ended, ProcessJob, Started
from harness.launch.limits import threads_of
from harness.launch.lock import machine_lock
from harness.launch.means import Enforcer, here, tidy
from harness.launch.template import Environment, Templates
from harness.probes.host import oom_kills
from harness.spec.outcome import Launched
from harness.spec.wire import Job, Trial

_ENTRY_S, _LOOK_S = 1.0, 0.0005
"""How long a process may take to enter its cgroup, and how often that is looked at."""


class ProcessLauncher:
    """Starts each job as a fresh interpreter on this machine; in a block, trials as forks of templates.

    `inherit`: descriptors that its children keep open. Another launcher of this machine inherits it, with a `name` and
    a `command` of its own; such a command is run for every job, because nothing is known of what it does. `enforcer`
    holds jobs to their limits. `guard` ends what they have started if this process is killed.
    """

    name = PROCESS

    def __init__(
        self,
        inherit: tuple[int, ...] = (),
        templates: Templates | None = None,
        enforcer: Enforcer | None = None,
        guard: Guard | None = None,
    ) -> None:
        self.inherit, self.guard = inherit, guard
        self._templates = templates
        self._enforcer = enforcer or Enforcer()
        self._host = host_facts()

    @contextmanager
    def hold(self, what: str, beside: Sequence[Launcher] = ()) -> Iterator[Self]:
        """Hold the machine's lock, which children inherit; a launcher of this machine `beside` has it already."""
        with ExitStack() as stack:
            held = next(((each.inherit, each.guard) for each in beside if isinstance(each, ProcessLauncher)), None)
            if held is None:
                inherit = (*self.inherit, stack.enter_context(machine_lock(what)))
                held = inherit, stack.enter_context(guard(inherit))
            tidy()
            yield type(self)(held[0], enforcer=self._enforcer, guard=held[1])

    @property
    def takes_turns(self) -> bool:
        """Whether its jobs take turns; not where another command runs them, which may not pass the turns on."""
        return type(self).command is ProcessLauncher.command

    @contextmanager
    def block(self, jobs: Sequence[tuple[Job, Terms]]) -> Iterator[Self]:
        """Yield a launcher that forks these trials from templates of their own, which all start now."""
        wanted = [of for job, terms in jobs if self.takes_turns and (of := self._environment(job, terms)) is not None]
        templates = Templates(dict.fromkeys(wanted), self.inherit, self.guard)
        try:
            yield type(self)(self.inherit, templates, self._enforcer, self.guard)
        finally:
            templates.close()

    def command(self, folder: Path, terms: Terms) -> list[str]:
        """Return the command line of the worker; the job's deadline and signals are for the process it starts."""
        turns = map(str, terms.turns or ())
        return [terms.python or sys.executable, "-P", "-m", "harness.worker", str(folder), str(terms.root), *turns]

    def start(self, folder: Path, job: Job, terms: Terms) -> RunningJob:
        """Write the job with the resources granted here, and start a worker on it in a cgroup that holds it to them."""
        resources, group = self._enforcer.grant(terms.limits, job)
        try:
            return self._started(folder, msgspec.structs.replace(job, resources=resources), terms, group)
        except BaseException:
            if group is not None:
                group.remove()
            raise

    def _started(self, folder: Path, job: Job, terms: Terms, group: Group | None) -> RunningJob:
        write_job(folder, job)
        try:
            log = (folder / "worker.log").open("ab", buffering=0)
        except OSError as error:
            raise cannot_write(folder, error) from error
        started = Started(time.monotonic_ns(), oom_kills(), group, alone=terms.turns is None)
        launched = Launched(
            launcher=self.name,
            wall_ns=0,
            begin_ns=started.begin_ns,
            began_unix_ns=time.time_ns(),
            host=self._host,
            resources=job.resources,
        )
        with log:
            try:
                child = self._forked(folder, job, terms, log.fileno(), group) or self._spawned(
                    folder, job, terms, log.fileno(), group
                )
            except OSError as error:
                failed = verdict.not_started(terms.python or sys.executable, error)
                outcome = msgspec.structs.replace(failed, launched=launched)
                write_outcome(folder, outcome)
                if group is not None:
                    group.remove()
                return Ended(outcome)
        try:
            if group is not None:
                _await_entry(child, group)
            return ProcessJob(folder, job, terms.timeout_s, child, launched, started)
        except BaseException:
            child.kill()
            child.returncode()
            raise

    def _forked(self, folder: Path, job: Job, terms: Terms, log: int, group: Group | None) -> Child | None:
        """Start a trial as a fork of its template; None where it is to be a fresh process."""
        template = self._templates.of(self._environment(job, terms)) if self._templates is not None else None
        if template is None or (group is not None and group.prefix):
            return None
        return template.fork(folder, terms.root, log, terms.turns, group.entries if group is not None else ())

    def _spawned(self, folder: Path, job: Job, terms: Terms, log: int, group: Group | None) -> Child:
        command, env = self.command(folder, terms), environment(os.environ, job.resources.threads)
        if group is not None:
            command = group.wrapped(found(command))
        passed = (*self.inherit, *(terms.turns or ()))
        process = Popen(
            command, stdin=DEVNULL, stdout=log, stderr=log, env=env, pass_fds=passed, start_new_session=True
        )
        return Spawned(process, self.guard)

    def _environment(self, job: Job, terms: Terms) -> Environment | None:
        """Return the environment of the template that a job is a fork of; None where it is to be a fresh process."""
        if not isinstance(job, Trial) or job.fresh or not self._enforcer.forkable(terms.limits):
            return None
        return Environment(terms.python or sys.executable, job.target.runtime, threads_of(terms.limits, here().cpus))


def found(command: list[str]) -> list[str]:
    """Return a command line whose program is there. Raises OSError where it is not: a shell would only log that."""
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
    return command


def _await_entry(child: Child, group: Group) -> None:
    """Wait until a process has entered its cgroup, so that probes find it there; one that may not enter ends."""
    end = time.monotonic() + _ENTRY_S
    while not (group.holds(child.pid) or child.ended(_LOOK_S) or time.monotonic() > end):
        pass
