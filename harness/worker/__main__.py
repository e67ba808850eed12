"""`python -m harness.worker FOLDER`: do the job in FOLDER/job.json and leave an outcome.json there."""

from __future__ import annotations

import errno
import sys
import time
from pathlib import Path

import msgspec

from harness.runtimes.base import ModelError
from harness.spec.wire import DISK_FULL, Convert, Failure, Job, MakeDataset, Outcome, Probe, Trial
from harness.worker.events import EventLog
from harness.worker.evidence import write_outcome
from harness.worker.limits import die_with_parent, limit_memory

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def perform(job: Job, folder: Path, log: EventLog) -> Outcome:
    """Do one job in this process."""
    if isinstance(job, Trial):
        from harness.worker.trial import TrialRun

        return TrialRun(job, folder, log).run()
    if isinstance(job, Convert):
        from harness.convert.convert import convert

        log.mark("convert")
        return convert(job, folder)
    from harness.worker.prepare import describe, make_dataset, probe

    log.mark("prepare")
    if isinstance(job, MakeDataset):
        return make_dataset(job, folder)
    return probe(job) if isinstance(job, Probe) else describe(job)


def attempt(job: Job, folder: Path, log: EventLog) -> Outcome:
    """Do the job; whatever goes wrong becomes a failed outcome with its name. Disk-full passes through."""
    from harness.worker.trial import OutputError

    try:
        return perform(job, folder, log)
    except OutputError as error:
        return _failed("output_error", error, log.phase)
    except ModelError as error:
        return _failed("load_error", error, log.phase)
    except MemoryError as error:
        return _failed("oom", error, log.phase)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise
        return _failed(_by_phase(log.phase), error, log.phase)
    except Exception as error:  # noqa: BLE001 - the outermost edge: a model may raise anything
        return _failed(_by_kind(error, log.phase), error, log.phase)


def _by_phase(phase: str) -> Failure:
    early = ("", "hello", "import", "load", "first", "prepare", "convert")
    return "load_error" if phase in early else "crash"


def _by_kind(error: Exception, phase: str) -> Failure:
    text = str(error).lower()
    out_of_memory = (
        "bad allocation",
        "bad_alloc",
        "out of memory",
        "can't allocate memory",
        "failed to allocate",
    )
    return "oom" if any(words in text for words in out_of_memory) else _by_phase(phase)


def _failed(failure: Failure, error: BaseException, phase: str) -> Outcome:
    import traceback

    traceback.print_exception(error)
    text = str(error).strip() or type(error).__name__
    prefix = "" if isinstance(error, ModelError) or failure == "output_error" else f"{type(error).__name__}: "
    return Outcome(status="failed", failure=failure, message=(prefix + text)[:2000], phase=phase)


def work(folder: Path) -> int:
    """Do the job in `folder`; returns the exit status."""
    begin = time.perf_counter_ns()
    job: Job = msgspec.json.decode((folder / "job.json").read_bytes(), type=Job)
    try:
        log = EventLog(folder)
        log.mark("hello", note=time.get_clock_info("perf_counter").implementation)
        if isinstance(job, Trial):
            limit_memory(job.memory_limit_bytes)
        outcome = attempt(job, folder, log)
        outcome = msgspec.structs.replace(outcome, duration_ns=time.perf_counter_ns() - begin)
        write_outcome(folder, outcome)
    except OSError as error:
        print(f"cannot write evidence: {error}", file=sys.stderr)  # noqa: T201 - goes to worker.log
        return DISK_FULL
    log.close()
    return 0


if __name__ == "__main__":
    die_with_parent()
    sys.exit(work(Path(sys.argv[1])))
