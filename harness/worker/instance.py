"""What an instance does: it loads the candidate's variant once, and answers events that hold one row."""

from __future__ import annotations

import importlib
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.evidence.files import read_json
from harness.runtimes import feeds as feeding
from harness.runtimes.base import Feed, ModelError, Runtime, Session, main_output, preload
from harness.runtimes.layout import settle_by
from harness.spec.rows import as_json, from_json
from harness.spec.wire import ColdStart
from harness.worker.marks import FOLDER_VARIABLE, ROOT_VARIABLE, mark
from harness.worker.process import die_with_parent, limit_above_baseline, limit_memory, use_cpus
from harness.worker.rooted import rooted


class Instance:
    """A loaded model. `scope` is held open for the life of the process: it has no other inference."""

    def __init__(self, job: ColdStart, session: Session) -> None:
        self._job, self._session = job, session
        self._scope = ExitStack()
        self._scope.enter_context(session.scope())
        self._settled = False

    def answer(self, event: dict[str, Any]) -> dict[str, Any]:
        """Answer one event: the main output for its row, and when that began and ended (CLOCK_MONOTONIC, ns).

        Raises ModelError where the row does not fit, OutputError where the output is not finite.
        """
        begin = time.perf_counter_ns()
        outputs = self._session.infer(self._feed(event))
        feeding.check_finite(outputs)
        output = as_json(main_output(outputs, self._session.outputs, self._job.candidate.output))
        return {"output": output, "begin_ns": begin, "end_ns": time.perf_counter_ns()}

    def _feed(self, event: dict[str, Any]) -> Feed:
        arrays = {name: from_json(table) for name, table in event["rows"].items()}
        arrays = feeding.match(self._session.inputs, arrays)
        if not self._settled:
            self._session.inputs, self._settled = settle_by(self._session.inputs, arrays), True
        return feeding.batch(self._session.inputs, arrays, 0, feeding.fixed_batch(self._session.inputs) or 1)


def load(begin_ns: int) -> Instance:
    """Import the runtime and load the model of this process's job; marks when each is done.

    The first marks are of the harness's own part: from `begin_ns`, when its import began, until the job is read.
    """
    die_with_parent()
    folder, root = os.environ[FOLDER_VARIABLE], os.environ[ROOT_VARIABLE]
    job: ColdStart = rooted(read_json(Path(folder) / "job.json", ColdStart), Path(root))
    use_cpus(job.cpus or job.resources.cpus)
    limit_memory(job.resources.data_limit_bytes)
    mark(folder, "own", begin_ns)
    mark(folder, "owned", time.perf_counter_ns())
    module, _, name = job.entry.partition(":")
    runtime: Runtime = getattr(importlib.import_module(module), name)()
    if problem := runtime.unavailable(job.target):
        raise ModelError(problem)
    preload(runtime)
    limit_above_baseline(job.resources)
    mark(folder, "imported", time.perf_counter_ns())
    session = runtime.load(job.variant, job.target, job.resources.threads, job.seed, job.block)
    mark(folder, "loaded", time.perf_counter_ns())
    return Instance(job, session)
