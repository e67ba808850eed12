"""A launcher that does a job in this process: the child's own code and files, without the process.

For fakes with a virtual clock, whose latencies no process boundary could change. What only a process can show
(memory, limits, crashes) has no place here: `harness.trial.launch.run_job` is for that.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import msgspec

from harness.spec.wire import Job, Outcome
from harness.trial.folder import read_job, write_job
from harness.trial.watch import COLUMNS
from harness.worker.__main__ import attempt
from harness.worker.events import EventLog
from harness.worker.evidence import write_outcome


def run_inline(
    folder: Path,
    job: Job,
    *,
    python: str | None = None,
    threads: int | None = None,
    timeout_s: float = 60.0,
    inherit: tuple[int, ...] = (),
    on_tick: Callable[[str], None] = lambda phase: None,
) -> Outcome:
    """Do what `run_job` does and leave the same files; telemetry has no rows, because there is no child to watch.

    The arguments that steer a process are taken and not used. Neither limits nor deadlines are enforced.
    """
    write_job(folder, job)
    (folder / "telemetry.csv").write_text(",".join(COLUMNS) + "\n", encoding="ascii")
    with (folder / "worker.log").open("a", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        return _work(folder)


def _work(folder: Path) -> Outcome:
    """Do the job as the worker does, but for the limits it puts on its own process."""
    begin = time.perf_counter_ns()
    log = EventLog(folder)
    try:
        log.mark("hello", note=time.get_clock_info("perf_counter").implementation)
        gc.freeze()  # the worker collects before each window; this process holds far more than a worker would
        outcome = attempt(read_job(folder), folder, log)
        outcome = msgspec.structs.replace(outcome, duration_ns=time.perf_counter_ns() - begin)
        write_outcome(folder, outcome)
    finally:
        log.close()
    return outcome
