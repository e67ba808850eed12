"""One trial: import the runtime, load the model, first inference, scenarios in order, predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.runtimes.base import Array, ModelError, Session
from harness.spec.suite import Offline, Scenario
from harness.spec.wire import Memory, Noise, Outcome, ScenarioResult, Trial
from harness.worker import feeds as feeding
from harness.worker.events import EventLog
from harness.worker.evidence import save_array
from harness.worker.loops import Length, Window, measure, quiet_gc, rotate, warm_up
from harness.worker.self_view import add_noise, resident_bytes, usage

_PREDICT_BATCH = 64


class OutputError(Exception):
    """The model answers, but with something that cannot be used."""


class TrialRun:
    """The state of one trial while it runs; `run` is the whole story."""

    def __init__(self, job: Trial, folder: Path, log: EventLog) -> None:
        self.job, self.folder, self.log = job, folder, log
        self.results: list[ScenarioResult] = []
        self.files: dict[str, int] = {}
        self.notes: list[str] = []
        self.noise = Noise()
        self.first_ns = 0

    def run(self) -> Outcome:
        """Go through the phases and return the outcome.

        Raises:
            ModelError: the artefact or its inputs are wrong.
            OutputError: its outputs are not finite numbers.
        """
        from harness.runtimes import registry

        job, log = self.job, self.log
        log.mark("import")
        runtime = registry.load(job.target.runtime)
        problem = runtime.unavailable(job.target)
        if problem:
            raise ModelError(problem)
        baseline = resident_bytes()
        log.mark("load")
        session, load_ns = self._load(runtime)
        loaded = resident_bytes()
        with session.scope():
            arrays = self._arrays(session)
            self._first(session, arrays)
            with quiet_gc():
                for scenario in job.scenarios:
                    self._scenario(scenario, session, arrays)
            peak = resident_bytes("VmHWM")
            if job.predict:
                log.mark("predict")
                self._predict(session, arrays)
        log.mark("close")
        return Outcome(
            status="ok",
            load_ns=load_ns,
            first_inference_ns=self.first_ns,
            scenarios=tuple(self.results),
            memory=Memory(baseline_bytes=baseline, loaded_bytes=loaded, peak_bytes=peak),
            noise=self.noise,
            files=self.files,
            versions=runtime.versions(),
            settings={
                "threads": job.threads,
                "min_samples": job.min_samples,
                "gc": "frozen and disabled in measured windows",
            },
            notes=tuple(self.notes),
        )

    def _load(self, runtime: Any) -> tuple[Session, int]:
        import time

        job = self.job
        begin = time.perf_counter_ns()
        session: Session = runtime.load(job.artefact, job.target, job.threads, job.seed, job.sequence)
        return session, time.perf_counter_ns() - begin

    def _arrays(self, session: Session) -> dict[str, Array]:
        job = self.job
        if job.dataset is not None:
            return feeding.match(session.inputs, feeding.read_inputs(Path(job.dataset)))
        spec = job.synthetic
        if spec is None:
            raise ModelError("the job has neither a dataset nor synthetic inputs")
        guessed = feeding.guessed_dims(session.inputs, spec)
        text = "inputs are synthetic, drawn from the model's signature"
        if guessed:
            text += f"; dimensions of unknown size ({', '.join(guessed)}) were set to 16"
        self.notes.append(text)
        return feeding.synthesise(session.inputs, spec, job.seed)

    def _first(self, session: Session, arrays: dict[str, Array]) -> None:
        self.log.mark("first")
        size = feeding.fixed_batch(session.inputs) or 1
        feed = feeding.batch(session.inputs, arrays, 0, size)
        begin = session.clock()
        outputs = session.infer(feed)
        self.first_ns = session.clock() - begin
        _check_finite(outputs)

    def _scenario(self, scenario: Scenario, session: Session, arrays: dict[str, Array]) -> None:
        fixed = feeding.fixed_batch(session.inputs)
        wanted = scenario.batch_sizes if isinstance(scenario, Offline) else (1,)
        sizes = wanted if fixed is None else (fixed,)
        if sizes != wanted:
            self.notes.append(f"{scenario.name}: the model is bound to batch size {fixed}")
        for size in sizes:
            self._window(scenario, size, scenario.seconds / len(sizes), session, arrays)

    def _window(
        self, scenario: Scenario, size: int, seconds: float, session: Session, arrays: dict[str, Array]
    ) -> None:
        pool = rotate(feeding.pool(session.inputs, arrays, size, self.job.pool_rows))
        name = f"{scenario.name}.b{size}" if isinstance(scenario, Offline) else scenario.name
        self.log.mark(f"warm_up:{name}")
        warmth = warm_up(session.infer, pool, session.clock, self.job.warm_up, seconds)
        before = usage()
        self.log.mark(f"measure:{name}")
        least = 0 if isinstance(scenario, Offline) else self.job.min_samples
        length = Length(seconds, seconds * self.job.stretch, least, scenario.max_samples)
        window = measure(session.infer, pool, session.clock, length, warmth.median_ns)
        self.log.mark(f"measured:{name}")
        self.noise = add_noise(self.noise, before, usage())
        self._keep(name, scenario, size, window, warmth.steady, warmth.samples)

    def _keep(self, name: str, scenario: Scenario, size: int, window: Window, steady: bool, warm: int) -> None:
        file = f"samples/{name}.npy"
        self.files[file] = save_array(self.folder / file, window.samples)
        self.results.append(
            ScenarioResult(
                name=name,
                scenario=scenario.name,
                kind="offline" if isinstance(scenario, Offline) else "single_stream",
                samples=len(window.samples),
                batch_size=size,
                elapsed_ns=int(window.samples.sum()),
                steady=steady,
                warm_up_samples=warm,
                ended_by=window.ended_by,
            )
        )

    def _predict(self, session: Session, arrays: dict[str, Array]) -> None:
        fixed = feeding.fixed_batch(session.inputs)
        size = fixed or _PREDICT_BATCH
        rows = feeding.rows_in(arrays)
        parts = []
        for start in range(0, rows, size):
            count = size if fixed else min(size, rows - start)
            feed = feeding.batch(session.inputs, arrays, start, count)
            outputs = session.infer(feed)
            _check_finite(outputs)
            parts.append(np.array(main_output(outputs, session.outputs, self.job.candidate.output)))
        predictions = np.concatenate(parts)[:rows]
        self.files["predictions.npy"] = save_array(self.folder / "predictions.npy", predictions)


def main_output(outputs: Sequence[Array], names: Sequence[str], wanted: str | None) -> Array:
    """Pick the output that is evaluated: the named one, else the first of floats, else the first.

    Raises:
        OutputError: no output has the wanted name.
    """
    if wanted is not None:
        if wanted not in names:
            raise OutputError(f"the model has no output '{wanted}'; it has {', '.join(names) or 'unnamed ones'}")
        return outputs[list(names).index(wanted)]
    return next((o for o in outputs if isinstance(o, np.ndarray) and o.dtype.kind == "f"), outputs[0])


def _check_finite(outputs: Sequence[Array]) -> None:
    for index, output in enumerate(outputs):
        if isinstance(output, np.ndarray) and output.dtype.kind == "f" and not np.isfinite(output).all():
            bad = int((~np.isfinite(output)).sum())
            raise OutputError(f"output {index} has {bad} of {output.size} values that are NaN or infinite")
