"""One trial: import the runtime, load the model, first inference, scenarios in order, predictions."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from harness.evidence.files import save_array
from harness.evidence.folder import PREDICTIONS, EventLog
from harness.runtimes import feeds as feeding
from harness.runtimes.base import Feed, ModelError, Runtime, Session, load_runtime, main_output, preload
from harness.scenarios.base import kind
from harness.spec.arrays import Array
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.outcome import Fact, Memory, Outcome, SchedulingCounters
from harness.spec.wire import GroupFiles, Trial
from harness.worker.bench import TrialBench
from harness.worker.crew import Crew, crew_for
from harness.worker.inputs import inputs_of
from harness.worker.ledger import Ledger
from harness.worker.process import charged, limit_above_baseline, memory_bytes, pss_bytes, quiet_gc, use_cpus
from harness.worker.replica import become
from harness.worker.turns import Turns

_PREDICT_BATCH = 64
_MARK_NS = 1_000_000_000


class _Loaded(NamedTuple):
    """A loaded model: its runtime and session, how long loading took, and resident memory before and after."""

    runtime: Runtime
    session: Session
    load_ns: int
    memory: Memory
    pids: tuple[int, ...]


def run_trial(job: Trial, folder: Path, log: EventLog, turns: Turns, fresh: bool = True) -> Outcome:
    """Go through the phases of a trial and return its outcome. `fresh`: this process is a new interpreter.

    Raises ModelError where the variant is wrong, InputError where no inputs are found that it takes, and OutputError
    where its outputs are not finite numbers.
    """
    use_cpus(job.cpus or job.resources.cpus)
    with crew_for(job.scenarios, partial(become, job)) as crew:
        return _run(job, folder, log, turns, fresh, crew)


def _run(job: Trial, folder: Path, log: EventLog, turns: Turns, fresh: bool, crew: Crew | None) -> Outcome:
    """Go through the phases; `crew` are the further processes that serve."""
    ledger = Ledger("import")
    loaded = _load(job, log, ledger)
    session = loaded.session
    if crew is not None:
        crew.load()
        loaded = loaded._replace(pids=(*loaded.pids, *crew.pids))
        log.mark("loaded", pids=loaded.pids)
    with session.scope():
        ledger.begin("waiting")
        turns.next()
        ledger.begin("first")
        arrays, notes, first_ns = _first(job, session, log)
        bench = TrialBench(job, log, session, arrays, turns, ledger, first_ns, crew)
        with quiet_gc():
            for scenario in job.scenarios:
                kind(scenario).execute(scenario, bench)
        kept = {f"inputs/{name}.npy": array[: job.keep_rows] for name, array in arrays.items() if job.keep_rows}
        memory = _used(loaded.memory, bench.inputs_bytes, job.resources.group)
        files = _end(job, folder, log, ledger, bench, session, arrays)
    ledger.begin("waiting")
    log.mark("close")
    turns.finish()
    ledger.begin("write")
    files |= bench.write(folder) | {file: save_array(folder / file, array) for file, array in kept.items()}
    ledger.begin("")
    return Outcome(
        status="ok",
        pids=loaded.pids,
        fresh=fresh,
        spent=dict(ledger.spent),
        load_ns=loaded.load_ns,
        first_inference_ns=first_ns,
        windows=tuple(bench.windows),
        memory=memory,
        scheduling=SchedulingCounters(**bench.counters),
        files=files,
        versions=loaded.runtime.versions(),
        settings=_settings(job, session),
        notes=(*notes, *bench.notes),
    )


def _settings(job: Trial, session: Session) -> dict[str, Fact]:
    """Return how this trial ran: the harness's own settings, and what the session says of itself."""
    own: dict[str, Fact] = {"gc": "frozen and disabled in measured windows", "turn_s": job.turn_s}
    facts: Callable[[], Mapping[str, Fact]] | None = getattr(session, "facts", None)
    return own if facts is None else own | dict(facts())


def _load(job: Trial, log: EventLog, ledger: Ledger) -> _Loaded:
    """Import the runtime and load the model; raises ModelError where that is not possible."""
    log.mark("import")
    runtime = load_runtime(job.target.runtime)
    if problem := runtime.unavailable(job.target):
        raise ModelError(problem)
    preload(runtime)
    baseline, limit = memory_bytes("VmRSS"), limit_above_baseline(job.resources)
    ledger.begin("load")
    log.mark("load", note="" if limit is None else f"memory limit {limit} bytes")
    begin = time.perf_counter_ns()
    session = runtime.load(job.variant, job.target, job.resources.threads, job.seed, job.sequence)
    load_ns = time.perf_counter_ns() - begin
    pids = tuple(getattr(session, "pids", ())) or (os.getpid(),)
    log.mark("loaded", pids=pids)
    memory = Memory(baseline_bytes=baseline, loaded_bytes=memory_bytes("VmRSS"), limit_bytes=limit)
    return _Loaded(runtime, session, load_ns, memory, pids)


def _used(before: Memory, inputs_bytes: int, group: GroupFiles) -> Memory:
    """Add what the process needed while it measured."""
    return msgspec.structs.replace(
        before,
        peak_bytes=memory_bytes("VmHWM"),
        anon_bytes=memory_bytes("RssAnon"),
        pss_bytes=pss_bytes(),
        inputs_bytes=inputs_bytes,
        **charged(group),
    )


def _end(
    job: Trial,
    folder: Path,
    log: EventLog,
    ledger: Ledger,
    bench: TrialBench,
    session: Session,
    arrays: Mapping[str, Array],
) -> dict[str, int]:
    """Predict the dataset where that is asked for, else check the outputs once more; returns file → size in bytes."""
    if not job.predict:
        _last(session, arrays, log)
        return {}
    ledger.begin("predict")
    predictions = _predict(job, session, arrays, int(bench.row_ns), log)
    if predictions is None:
        bench.note(diagnostic("quality_unknown", "no quality is known: outputs differ in shape from row to row"))
        return {}
    return {PREDICTIONS: save_array(folder / PREDICTIONS, predictions)}


class _FirstCall:
    """Calls a model, and keeps how long its first call that worked took (ns): guesses of its inputs run it too."""

    def __init__(self, session: Session) -> None:
        self.infer, self._clock = session.infer, session.clock
        self.took_ns: int | None = None

    def __call__(self, feed: Feed) -> Sequence[Array]:
        begin = self._clock()
        outputs = self.infer(feed)
        if self.took_ns is None:
            self.took_ns = self._clock() - begin
        return outputs


def _first(job: Trial, session: Session, log: EventLog) -> tuple[dict[str, Array], tuple[Diagnostic, ...], int]:
    """Return the inputs, notes on them, and how long the first inference took (ns); its outputs must be finite."""
    log.mark("inputs")
    first = _FirstCall(session)
    session.infer = first
    arrays, notes = inputs_of(job, session, log.mark)
    log.mark("first")
    feed = feeding.batch(session.inputs, arrays, 0, feeding.fixed_batch(session.inputs) or 1)
    feeding.check_finite(session.infer(feed))
    session.infer = first.infer
    return arrays, notes, first.took_ns or 0


def _last(session: Session, arrays: Mapping[str, Array], log: EventLog) -> None:
    """Check that outputs are still finite after all windows, in which nobody looks at them."""
    log.mark("last")
    feed = feeding.batch(session.inputs, arrays, 0, feeding.fixed_batch(session.inputs) or 1)
    feeding.check_finite(session.infer(feed))


def _predict(job: Trial, session: Session, arrays: Mapping[str, Array], row_ns: int, log: EventLog) -> Array | None:
    """Return the main output for every row of the dataset; None where its shape differs from row to row.

    A slow model gets batches of about a second, and each of them is marked: its deadline is then for one batch, not for
    the whole dataset.
    """
    fixed, rows = feeding.fixed_batch(session.inputs), feeding.rows_in(arrays)
    most = feeding.most_rows(session.inputs) or _PREDICT_BATCH
    size = fixed or max(1, min(_PREDICT_BATCH, most, _MARK_NS // max(row_ns, 1)))
    log.mark("predict")
    parts, marked_ns = [], time.perf_counter_ns()
    for start in range(0, rows, size):
        if time.perf_counter_ns() - marked_ns > _MARK_NS:
            log.mark("predict")
            marked_ns = time.perf_counter_ns()
        count = size if fixed else min(size, rows - start)
        outputs = session.infer(feeding.batch(session.inputs, arrays, start, count))
        feeding.check_finite(outputs)
        parts.append(np.array(main_output(outputs, session.outputs, job.candidate.output)))
    try:
        return np.concatenate(parts)[:rows]
    except ValueError:
        return None  # shapes differ from row to row
