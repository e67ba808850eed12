"""Before the first trial: probe the targets, make the dataset, make the artefacts. All in child processes."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness import plan
from harness.artefacts import (
    cache_folder,
    cache_key,
    complete,
    digest_of,
    file_digest,
    refuse_changed,
    store,
    with_companions,
)
from harness.convert.ways import too_far, wanted_format
from harness.errors import EvidenceError, SpecError
from harness.plan import Cell
from harness.report.observe import Observer
from harness.runs import Prepared, Ready, RunRecord, read_prepared
from harness.spec.check import format_of
from harness.spec.find import known, load_target
from harness.spec.suite import Candidate
from harness.spec.target import Target
from harness.spec.wire import Artefact, Convert, Job, MakeDataset, Outcome, Probe
from harness.trial.folder import read_outcome, write_json
from harness.trial.launch import run_job

Launch = Callable[..., Outcome]
Say = Callable[[str], None]


class Probed(NamedTuple):
    """What a probe found: the outcome, and how long a process with this runtime takes to start (s)."""

    outcome: Outcome
    seconds: float


class Preparation:
    """Prepares the cells of one run; `launch` runs a job in a process and returns its outcome."""

    def __init__(self, folder: Path, record: RunRecord, launch: Launch, say: Say) -> None:
        self._folder, self._record, self._launch, self._say = folder, record, launch, say
        self._made: dict[tuple[str, str], Ready] = {}

    def probe(self, target: Target) -> Probed:
        """Ask in a fresh process whether `target` can be used here.

        Raises:
            SpecError: the target's runtime or options are wrong.
        """
        self._say(f"probing target {target.name}")
        begin = time.monotonic()
        outcome = self._do(f"probe-{target.name}", Probe(target=target), python=target.python)
        if outcome.status == "invalid":
            raise SpecError(f"target '{target.name}'", outcome.message)
        return Probed(outcome, time.monotonic() - begin)

    def dataset(self) -> tuple[Path | None, str]:
        """Make the dataset's arrays; returns their folder (None when inputs are synthetic) and digest.

        Raises:
            SpecError: the dataset cannot be made.
        """
        dataset = self._record.suite.dataset
        if dataset.synthetic is not None:
            return None, "synthetic"
        self._say("preparing the dataset")
        outcome = self._do("dataset", MakeDataset(dataset=dataset, base=self._record.base))
        if outcome.status != "ok":
            raise SpecError(self._record.suite_file, f"dataset: {outcome.message}")
        return self._folder / "prepare" / "dataset", outcome.digest

    def cell(self, cell: Cell, probed: Probed, dataset: Path | None, digest: str) -> Ready:
        """Make what `cell` needs in order to run, or say why it cannot."""
        if probed.outcome.status != "ok":
            return Ready(status="skipped", why=f"target not available here: {probed.outcome.message}")
        try:
            artefact = self.artefact(cell.candidate)
        except OSError as error:
            what = f"the artefact of '{cell.candidate.name}' cannot be read: {error.filename}: {error.strerror}"
            raise SpecError(self._record.suite_file, what, "put it back") from error
        if cell.candidate.sha256 is not None and artefact.digest != cell.candidate.sha256:
            why = f"sha256 of {artefact.path} is {artefact.digest}, the suite pins {cell.candidate.sha256}"
            return Ready(status="failed", failure="load_error", why=why)
        wanted = wanted_format(artefact.format, probed.outcome.formats)
        if wanted is None:
            loads = ", ".join(probed.outcome.formats)
            why = f"{cell.target.runtime} loads {loads}; there is no way from {artefact.format} to that"
            return Ready(status="skipped", why=why)
        if wanted == artefact.format:
            return Ready(status="ok", artefact=artefact, overhead_s=probed.seconds)
        ready = self._converted(cell.candidate, artefact, wanted, dataset, digest)
        return msgspec.structs.replace(ready, overhead_s=probed.seconds)

    def artefact(self, candidate: Candidate) -> Artefact:
        """Describe a candidate's own artefact, with the digest of its content."""
        base = Path(self._record.base)
        paths = {k: str(base / v) for k in ("path", "weights") if (v := getattr(candidate, k)) is not None}
        return Artefact(
            format=candidate.format or (format_of(candidate.path) if candidate.path else None) or "torch",
            builder=candidate.builder,
            digest=digest_of(paths.values(), candidate.builder, base),
            bytes=sum(p.stat().st_size for p in with_companions(paths.values())) if paths else None,
            trust_pickle=self._record.suite.trust_pickle,
            import_from=self._record.base,
            **paths,
        )

    def _converted(
        self, candidate: Candidate, artefact: Artefact, wanted: str, dataset: Path | None, digest: str
    ) -> Ready:
        key = (candidate.name, wanted)
        if key not in self._made:
            self._made[key] = self._convert(candidate, artefact, wanted, dataset, digest)
        return self._made[key]

    def _convert(
        self, candidate: Candidate, artefact: Artefact, wanted: str, dataset: Path | None, digest: str
    ) -> Ready:
        cached = cache_folder() / cache_key(artefact, wanted, digest, candidate.output)
        outcome = complete(cached)
        if outcome is None:
            self._say(f"converting {candidate.name} to {wanted}")
            job = Convert(
                candidate=candidate,
                artefact=artefact,
                wanted=wanted,
                dataset=str(dataset) if dataset else None,
                synthetic=self._record.suite.dataset.synthetic,
                seed=self._record.seed,
            )
            name = f"convert-{candidate.name}-{wanted}"
            outcome = self._do(name, job)
            if outcome.status != "ok":
                why = f"conversion to {wanted}: {outcome.message}"
                return Ready(status="failed", failure=outcome.failure, why=why)
            cached = store(self._folder / "prepare" / name, cached)
        return self._judged(cached / f"model.{wanted}", wanted, outcome)

    def _judged(self, path: Path, wanted: str, outcome: Outcome) -> Ready:
        report = outcome.parity
        why = too_far(report, self._record.suite.parity) if report else None
        if why:
            return Ready(status="failed", failure="output_error", why=why, parity=report)
        digest = file_digest(path)
        artefact = Artefact(format=wanted, path=str(path), digest=digest, bytes=path.stat().st_size)
        return Ready(status="ok", artefact=artefact, parity=report)

    def _do(self, name: str, job: Job, python: str | None = None) -> Outcome:
        """Do a preparing job unless an earlier attempt at this run has done it."""
        folder = self._folder / "prepare" / name
        done = complete(folder)
        if done is not None:
            return done
        shutil.rmtree(folder, ignore_errors=True)
        timeout = max(300.0, self._record.suite.budget.phase_timeout_s)
        return self._launch(folder, job, python=python, timeout_s=timeout)


def prepare(folder: Path, record: RunRecord, observer: Observer, launch: Launch) -> Prepared:
    """Probe targets, make the dataset and the artefacts, and decide how long windows may be."""
    done = _earlier(folder)
    if done is not None:
        return done
    begin = time.monotonic()
    work = Preparation(folder, record, launch, observer.say)
    probes = {target.name: work.probe(target) for target in record.targets}
    dataset, digest = work.dataset()
    ready = {
        cell.name: work.cell(cell, probes[cell.target.name], dataset, digest)
        for cell in plan.cells(record.suite, record.targets)
    }
    spent = time.monotonic() - begin
    prepared = Prepared(
        cells=ready,
        dataset=str(dataset.relative_to(folder)) if dataset else None,
        dataset_digest=digest,
        window_share=_window_share(record, ready, spent),
        spent_s=spent,
    )
    write_json(folder / "prepare.json", prepared)
    return prepared


def _earlier(folder: Path) -> Prepared | None:
    """Return what an earlier attempt prepared, if all of it can still be read; else it is made again.

    Raises:
        SpecError: an artefact is another one now.
    """
    try:
        done = read_prepared(folder)
        if done is None or (done.dataset is not None and read_outcome(folder / done.dataset) is None):
            return None
    except EvidenceError:
        return None
    artefacts = [ready.artefact for ready in done.cells.values() if ready.artefact is not None]
    if not all(Path(artefact.path).is_file() for artefact in artefacts if artefact.path is not None):
        return None
    for artefact in artefacts:
        refuse_changed(artefact)
    return done


def _window_share(record: RunRecord, ready: dict[str, Ready], spent_s: float) -> float:
    overheads = {name: r.overhead_s for name, r in ready.items() if r.status == "ok"}
    return plan.window_share(record.suite, overheads, plan.planned_blocks(record.suite, record.quick), spent_s)


def probe_all() -> dict[str, Outcome | SpecError]:
    """Probe every known target in a process of its own; a wrong target file gives its error."""
    found: dict[str, Outcome | SpecError] = {}
    for name, path in known("targets").items():
        try:
            target = load_target(str(path.absolute()))
        except SpecError as error:
            found[name] = error
            continue
        with tempfile.TemporaryDirectory() as folder:
            outcome = run_job(Path(folder), Probe(target=target), python=target.python, timeout_s=120)
        invalid = outcome.status == "invalid"
        found[name] = SpecError(str(path), outcome.message) if invalid else outcome
    return found
