"""One trial: import the runtime, load the model, first inference, scenarios in order, predictions."""

import gc
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import numpy as np

from harness.evidence.files import read_arrays, save_array
from harness.evidence.folder import PREDICTIONS, EventLog, save_requests
from harness.runtimes import feeds as feeding
from harness.runtimes.base import Feed, ModelError, Session, load_runtime, main_output
from harness.scenarios.base import kind
from harness.spec.arrays import Array
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.wire import Memory, Outcome, SchedulingCounters, Trial, Window
from harness.worker.process import resident_bytes, usage

_PREDICT_BATCH = 64
_MARK_NS = 1_000_000_000


class TrialBench:
    """A loaded model, its inputs, and where a scenario's evidence goes: the `Bench` of every scenario kind."""

    def __init__(self, job: Trial, folder: Path, log: EventLog, session: Session, arrays: Mapping[str, Array]) -> None:
        self.job, self.infer, self.clock = job, session.infer, session.clock
        self.fixed_batch = feeding.fixed_batch(session.inputs)
        self.windows: list[Window] = []
        self.files: dict[str, int] = {}
        self.notes: list[Diagnostic] = []
        self.counters: Counter[str] = Counter()
        self._folder, self._log, self._session, self._arrays = folder, log, session, arrays

    def feeds(self, batch_size: int) -> Iterator[Feed]:
        """Return the pool's feeds over and over: a single buffer would measure the cache."""
        return cycle(feeding.pool(self._session.inputs, self._arrays, batch_size, self.job.pool_rows))

    def mark(self, phase: str) -> None:
        """Record that a phase begins."""
        self._log.mark(phase)

    @contextmanager
    def measuring(self, window: str) -> Iterator[None]:
        """Measure a window: its phase is marked before and after, and its scheduling counters are added."""
        before = usage()
        self._log.mark(f"measure:{window}")
        yield
        self._log.mark(f"measured:{window}")
        self.counters += usage() - before

    def keep(self, window: Window, arrays: Mapping[str, Array]) -> None:
        """Write a window's requests."""
        self.files |= save_requests(self._folder, window.name, arrays)
        self.windows.append(window)

    def note(self, diagnostic: Diagnostic) -> None:
        """Add a note, once."""
        if diagnostic not in self.notes:
            self.notes.append(diagnostic)


def run_trial(job: Trial, folder: Path, log: EventLog) -> Outcome:
    """Go through the phases of a trial and return its outcome.

    Raises ModelError where the variant or its inputs are wrong, OutputError where its outputs are not finite numbers.
    """
    log.mark("import")
    runtime = load_runtime(job.target.runtime)
    if problem := runtime.unavailable(job.target):
        raise ModelError(problem)
    baseline = resident_bytes()
    log.mark("load")
    begin = time.perf_counter_ns()
    session = runtime.load(job.variant, job.target, job.resources.threads, job.seed, job.sequence)
    load_ns = time.perf_counter_ns() - begin
    pids = tuple(getattr(session, "pids", ())) or (os.getpid(),)
    log.mark("loaded", pids=pids)
    loaded = resident_bytes()
    with session.scope():
        arrays, notes = _inputs(job, session)
        bench = TrialBench(job, folder, log, session, arrays)
        first_ns = _first(session, arrays, log)
        with quiet_gc():
            for scenario in job.scenarios:
                kind(scenario).execute(scenario, bench)
        peak = resident_bytes("VmHWM")
        if job.predict:
            log.mark("predict")
            predictions = _predict(job, session, arrays, first_ns, log)
            bench.files[PREDICTIONS] = save_array(folder / PREDICTIONS, predictions)
    log.mark("close")
    return Outcome(
        status="ok",
        pids=pids,
        load_ns=load_ns,
        first_inference_ns=first_ns,
        windows=tuple(bench.windows),
        memory=Memory(baseline_bytes=baseline, loaded_bytes=loaded, peak_bytes=peak),
        scheduling=SchedulingCounters(**bench.counters),
        files=bench.files,
        versions=runtime.versions(),
        settings={"min_samples": job.min_samples, "gc": "frozen and disabled in measured windows"},
        notes=(*notes, *bench.notes),
    )


@contextmanager
def quiet_gc() -> Iterator[None]:
    """Keep the garbage collector out of the measured windows."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def _inputs(job: Trial, session: Session) -> tuple[dict[str, Array], tuple[Diagnostic, ...]]:
    """Return the arrays that the model is fed, and a note where they are synthetic."""
    if job.dataset is not None:
        return feeding.match(session.inputs, read_arrays(Path(job.dataset) / "inputs")), ()
    spec = job.synthetic
    if spec is None:
        raise ModelError("the job has neither a dataset nor synthetic inputs")
    guessed = feeding.guessed_dims(session.inputs, spec)
    text = "inputs are synthetic, drawn from the model's signature"
    if guessed:
        text += f"; dimensions of unknown size ({', '.join(guessed)}) were set to 16"
    note = diagnostic("inputs_synthetic", text, guessed=[*guessed])
    return feeding.synthesise(session.inputs, spec, job.seed), (note,)


def _first(session: Session, arrays: Mapping[str, Array], log: EventLog) -> int:
    """Time the first inference (ns), and check that its outputs are finite."""
    log.mark("first")
    feed = feeding.batch(session.inputs, arrays, 0, feeding.fixed_batch(session.inputs) or 1)
    begin = session.clock()
    outputs = session.infer(feed)
    took = session.clock() - begin
    feeding.check_finite(outputs)
    return took


def _predict(job: Trial, session: Session, arrays: Mapping[str, Array], first_ns: int, log: EventLog) -> Array:
    """Return the main output for every row of the dataset.

    A slow model gets batches of about a second, and each of them is marked: its deadline is then for one batch, not for
    the whole dataset.
    """
    fixed, rows = feeding.fixed_batch(session.inputs), feeding.rows_in(arrays)
    size = fixed or max(1, min(_PREDICT_BATCH, _MARK_NS // max(first_ns, 1)))
    parts, marked_ns = [], time.perf_counter_ns()
    for start in range(0, rows, size):
        if time.perf_counter_ns() - marked_ns > _MARK_NS:
            log.mark("predict")
            marked_ns = time.perf_counter_ns()
        count = size if fixed else min(size, rows - start)
        outputs = session.infer(feeding.batch(session.inputs, arrays, start, count))
        feeding.check_finite(outputs)
        parts.append(np.array(main_output(outputs, session.outputs, job.candidate.output)))
    return np.concatenate(parts)[:rows]
