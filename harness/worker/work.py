"""One job in this process: what it is, its paths, its failures by name, its outcome."""

import os
import sys
import time
import traceback
from contextlib import closing
from pathlib import Path

import msgspec

from harness.convert.convert import convert
from harness.errors import EvidenceError
from harness.evidence.files import NO_ROOM
from harness.evidence.folder import EventLog, read_job, write_outcome
from harness.runtimes.base import InputError, ModelError, NotPossible, OutputError, out_of_memory
from harness.spec import plugins
from harness.spec.outcome import Failure, Outcome
from harness.spec.wire import DISK_FULL, CheckTarget, ColdStart, Convert, Job, MakeDataset, Trial
from harness.worker.dataset import make_dataset
from harness.worker.process import limit_memory
from harness.worker.rooted import rooted
from harness.worker.target import check_target, describe
from harness.worker.trial import run_trial
from harness.worker.turns import Turns

_EARLY_PHASES = ("", "hello", "import", "load", "loaded", "first", "prepare", "convert")
_ALONE = Turns()


def perform(job: Job, folder: Path, log: EventLog, turns: Turns, fresh: bool) -> Outcome:
    """Do one job in this process; its paths are absolute."""
    if isinstance(job, Trial):
        return run_trial(job, folder, log, turns, fresh)
    if isinstance(job, Convert):
        log.mark("convert")
        return convert(job, folder)
    log.mark("prepare")
    if isinstance(job, ColdStart):
        raise InputError("a cold start needs a launcher that starts instances: function or container")
    if isinstance(job, MakeDataset):
        return make_dataset(job, folder)
    return check_target(job) if isinstance(job, CheckTarget) else describe(job)


def attempt(job: Job, folder: Path, log: EventLog, turns: Turns, fresh: bool) -> Outcome:
    """Do the job; whatever goes wrong becomes a failed outcome with its name. A full disk passes through."""
    try:
        return perform(job, folder, log, turns, fresh)
    except Exception as error:  # the outermost edge: a model may raise anything
        cause = error.__cause__ if isinstance(error, EvidenceError) else error
        if isinstance(cause, OSError) and cause.errno in NO_ROOM:
            raise
        if (reason := _not_here(error, job)) is not None:
            return Outcome(status="unavailable", message=reason, phase=log.phase)
        traceback.print_exception(error)
        text = str(error).strip() or type(error).__name__
        prefix = "" if isinstance(error, ModelError | OutputError | InputError) else f"{type(error).__name__}: "
        message, failure = (prefix + text)[:2000], _failure(error, log.phase)
        return Outcome(status="failed", failure=failure, message=message, phase=log.phase)


def _not_here(error: Exception, job: Job) -> str | None:
    """Say why a job cannot be done where nothing is wrong: no such form, or a converter is not installed."""
    if isinstance(error, ImportError) and isinstance(job, Convert):
        return plugins.what_brings(error, "conversions", job.conversion)
    return str(error) if isinstance(error, NotPossible) else None


def _failure(error: Exception, phase: str) -> Failure:
    if isinstance(error, OutputError):
        return "output_error"
    if isinstance(error, InputError):
        return "input_error"
    if isinstance(error, ModelError):
        return "load_error"
    if out_of_memory(error):
        return "oom"
    return "load_error" if phase in _EARLY_PHASES else "crash"


def do_job(job: Job, folder: Path, root: Path, turns: Turns = _ALONE, fresh: bool = True) -> Outcome:
    """Do a job in this process and leave its outcome in `folder`. `fresh`: this process is a new interpreter.

    Raises OSError or EvidenceError where evidence cannot be written.
    """
    begin = time.perf_counter_ns()
    with closing(EventLog(folder)) as log:
        log.mark("hello", note=time.get_clock_info("perf_counter").implementation)
        outcome = attempt(rooted(job, root), folder, log, turns, fresh)
        outcome = msgspec.structs.replace(outcome, begin_ns=begin, duration_ns=time.perf_counter_ns() - begin)
        write_outcome(folder, outcome)
    return outcome


def work(folder: Path, root: Path, turns: Turns = _ALONE, fresh: bool = True) -> int:
    """Do the job in `folder` under its memory limit; returns the exit status."""
    try:
        if isinstance(job := _read(folder), Outcome):
            write_outcome(folder, job)
            return 0
        if isinstance(job, Trial):
            limit_memory(job.resources.data_limit_bytes)
        do_job(job, folder, root, turns, fresh)
    except (OSError, EvidenceError) as error:
        print(f"cannot write evidence: {error}", file=sys.stderr)  # noqa: T201 - goes to worker.log
        return DISK_FULL
    return 0


def _read(folder: Path) -> Job | Outcome:
    """Return the job in a folder; the outcome of one that this interpreter cannot read: it has another version."""
    try:
        return read_job(folder)
    except EvidenceError as error:
        message = f"{sys.executable} cannot read the job (does it have this version of harness?): {error}"
        return Outcome(status="failed", failure="protocol", message=message[:2000])


def end(status: int) -> None:
    """End this process at once: the evidence is on the disk, and unloading a runtime would take up to a second."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
