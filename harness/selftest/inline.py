"""A launcher that does a job in this process: the child's own code and files, without the process.

For fakes with a virtual clock, whose latencies no process boundary could change. What only a process can show
(memory, limits, crashes) needs `harness.launch.process.ProcessLauncher`.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from harness.evidence.folder import TelemetryLog, write_job
from harness.launch.base import Launcher, RunningJob, Terms
from harness.launch.job import Ended
from harness.spec.wire import Job
from harness.worker.work import do_job


class InlineLauncher:
    """Leaves the same files as a process; telemetry has no rows. Neither limits nor deadlines are enforced."""

    @contextmanager
    def hold(self, what: str, beside: Sequence[Launcher] = ()) -> Iterator[InlineLauncher]:
        """Reserve nothing: no time is measured."""
        yield self

    takes_turns = False

    @contextmanager
    def block(self, jobs: Sequence[tuple[Job, Terms]]) -> Iterator[InlineLauncher]:
        """Prepare nothing."""
        yield self

    def start(self, folder: Path, job: Job, terms: Terms) -> RunningJob:
        """Do the job at once."""
        write_job(folder, job)
        TelemetryLog(folder, ()).close()
        with (folder / "worker.log").open("a", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
            gc.freeze()  # the worker collects before its windows; this process holds far more than a worker would
            return Ended(do_job(job, folder, terms.root))
