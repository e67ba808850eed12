"""The first process of each cell: how fast the cell is, what it needs, and what it predicts for the dataset."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np

from harness.analyse.devices import share_of_device
from harness.errors import EvidenceError
from harness.evidence.files import cannot_write, read_array
from harness.evidence.folder import (
    DUE,
    PREDICTIONS,
    START,
    read_job,
    read_requests,
    set_aside,
    succeeded,
    write_outcome,
)
from harness.evidence.run import Cell, PreparedCell, RunRecord, Speed, cold_folder
from harness.launch.base import Launchers, Terms, run_job
from harness.launch.environment import host_facts
from harness.pipeline import artefacts
from harness.pipeline.jobs import Jobs
from harness.pipeline.progress import Observer
from harness.spec.outcome import Outcome, Window
from harness.spec.wire import Trial

FIRST_TIMEOUT_S = 300.0
"""How long the first process may take to load, or for an inference: nothing is known of its speed yet."""


class FirstTrials:
    """Runs cold trial 1 of each cell; `digest` is the evaluation split's, None where inputs are synthetic."""

    def __init__(
        self,
        folder: Path,
        record: RunRecord,
        places: Launchers,
        observer: Observer,
        dataset: str | None,
        digest: str | None,
    ) -> None:
        self._folder, self._record, self._places, self._observer = folder, record, places, observer
        self._jobs, self._digest = Jobs(record, dataset), digest
        labels = folder / (dataset or "") / "evaluation" / "labels.npy"
        self._predict = record.suite.reference is not None or (dataset is not None and labels.exists())

    def run(self, cell: Cell, prepared: PreparedCell, checked: Outcome) -> PreparedCell:
        """Run a prepared cell's first process; returns the cell with its speed, or failed. `checked`: its target."""
        self._observer.say(f"trying {cell.name}")
        folder, forkable = cold_folder(self._folder, cell.name, 1), bool(checked.settings.get("forkable"))
        outcome = _earlier(folder, prepared) or self._measured(folder, cell, prepared, checked)
        inputs, tried = chosen_inputs(outcome)
        prepared = msgspec.structs.replace(prepared, forkable=forkable, inputs=inputs)
        if outcome.status == "ok" and tried > 1:  # guesses that failed took memory and time: once more, without them
            outcome = self._measured(folder, cell, prepared, checked)
        if outcome.status != "ok":
            why = outcome.message or "the first process of the cell left no reason"
            return msgspec.structs.replace(prepared, status="failed", failure=outcome.failure, why=why)
        return msgspec.structs.replace(prepared, speed=speed_of(folder, outcome))

    def _measured(self, folder: Path, cell: Cell, prepared: PreparedCell, checked: Outcome) -> Outcome:
        cached = self._cached(cell, prepared, checked) if self._predict else None
        known = cached is not None and _whole(cached)
        try:
            set_aside(folder)
        except OSError as error:
            raise cannot_write(folder, error) from error
        job = self._jobs.cold(cell, prepared, 1, predict=self._predict and not known)
        timeout_s = max(FIRST_TIMEOUT_S, self._record.suite.budget.phase_timeout_s)
        terms = Terms(self._folder, cell.target.granted, cell.target.python, timeout_s)
        outcome = run_job(self._places[cell.target.launcher], folder, job, terms, self._observer.tick)
        if cached is None or outcome.status != "ok":
            return outcome
        if known:
            return _with_predictions(folder, outcome, cached)
        if PREDICTIONS in outcome.files:
            _keep(folder / PREDICTIONS, cached)
        return outcome

    def _cached(self, cell: Cell, prepared: PreparedCell, checked: Outcome) -> Path | None:
        """Return where the predictions of a variant on this kind of machine are kept between runs."""
        variant, target = prepared.variant, cell.target
        if variant is None or self._digest is None:
            return None
        precision = variant.cast_to or variant.precision
        what = [variant.digest, variant.format, precision, cell.candidate.output, self._digest]
        place = [checked.versions, checked.settings, host_facts()["cpu"]]
        where = [target.runtime, target.device, target.options, target.python, *place]
        key = hashlib.sha256(json.dumps([what, where], sort_keys=True, default=str).encode()).hexdigest()[:32]
        return artefacts.cache_folder().with_name("predictions") / f"{key}.npy"


def _earlier(folder: Path, prepared: PreparedCell) -> Outcome | None:
    """Return what an earlier attempt at the run found; None where there is none, or it was of another variant."""
    outcome = succeeded(folder)
    try:
        job = read_job(folder) if outcome is not None else None
    except EvidenceError:
        return None
    same = isinstance(job, Trial) and prepared.variant is not None and job.variant.digest == prepared.variant.digest
    return outcome if same else None


def speed_of(folder: Path, outcome: Outcome) -> Speed:
    """Return what a cold trial tells of a cell's speed. Raises EvidenceError if its evidence is damaged."""
    memory = outcome.memory
    shared = memory.baseline_bytes or 0
    own = memory.anon_bytes or max(0, (memory.peak_bytes or 0) - shared)
    settle_s = outcome.launched.resources.settle_s if outcome.launched is not None else 0.0
    return Speed(
        load_s=(outcome.load_ns or 0) / 1e9,
        first_s=(outcome.first_inference_ns or 0) / 1e9,
        requests_s={w.name: _request_s(folder, w, settle_s > 0) for w in outcome.windows},
        memory_bytes=own,
        settle_s=settle_s,
        device_share=share_of_device(outcome),
    )


def _request_s(folder: Path, window: Window, throttled: bool) -> float:
    """Return what a request of a window typically took (s): the median, or the mean where a quota holds it back.

    In an open loop the time that it waited to be served is not part of it.
    """
    took = read_requests(folder, window.name)
    if window.open_loop is not None:
        took = took - (read_requests(folder, window.name, START) - read_requests(folder, window.name, DUE))
    return float(np.mean(took) if throttled else np.median(took)) / 1e9


def chosen_inputs(outcome: Outcome) -> tuple[dict[str, str], int]:
    """Return the synthetic inputs that a trial chose, as a user would write them, and how many guesses it ran."""
    note = next((note for note in outcome.notes if note.code == "inputs_synthetic"), None)
    if note is None:
        return {}, 0
    lines, tried = note.data.get("inputs"), note.data.get("tried")
    parts = [str(line).rpartition("=") for line in lines] if isinstance(lines, list) else []
    return {name: line for name, _, line in parts}, tried if isinstance(tried, int) else 0


def _with_predictions(folder: Path, outcome: Outcome, cached: Path) -> Outcome:
    """Put predictions that an earlier run made with the same variant on the same rows into the trial's evidence."""
    path = folder / PREDICTIONS
    try:
        path.write_bytes(cached.read_bytes())
    except OSError as error:
        raise EvidenceError(f"{path}: cannot take over cached predictions: {error.strerror or error}") from error
    files = outcome.files | {PREDICTIONS: path.stat().st_size}
    outcome = msgspec.structs.replace(outcome, files=files, settings=outcome.settings | {"predictions": "cached"})
    write_outcome(folder, outcome)
    return outcome


def _whole(cached: Path) -> bool:
    """Whether predictions are in the cache, and can be read; damaged ones are made again."""
    try:
        read_array(cached)
    except EvidenceError:
        return False
    return True


def _keep(predictions: Path, cached: Path) -> None:
    """Keep predictions for later runs, where the cache can be written."""
    temporary = cached.with_name(f"{cached.name}.{os.getpid()}")
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(predictions.read_bytes())
        temporary.replace(cached)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
