"""Before the first trial: check the targets, make the dataset and the variants. All in jobs of their own."""

import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from harness.convert.chains import Form, apply, chain, precisions
from harness.errors import EvidenceError, SpecError
from harness.evidence.files import file_digest, write_json
from harness.evidence.folder import succeeded
from harness.evidence.run import Cell, Prepared, PreparedCell, RunRecord, cells, cold_folder, read_prepared
from harness.launch.base import PROCESS, Launchers, Terms, run_job
from harness.pipeline import artefacts
from harness.pipeline.cold import FIRST_TIMEOUT_S, FirstTrials
from harness.pipeline.progress import Observer
from harness.pipeline.targets import refuse_unused_options
from harness.spec import plugins
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.formats import format_of
from harness.spec.metrics import QUALITY, nearest, split_key
from harness.spec.outcome import Outcome
from harness.spec.policy import Policy
from harness.spec.suite import SPLITS, Candidate, Dataset, tolerance
from harness.spec.target import Target
from harness.spec.variant import Variant
from harness.spec.wire import CheckTarget, Convert, Job, MakeDataset

_FOLDER = "prepare"


class Data(NamedTuple):
    """The dataset's folder, relative to the run's (None: inputs are synthetic), and the digest of each split."""

    folder: str | None
    digests: dict[str, str]

    def split(self, name: str) -> str | None:
        """Return the folder of a split, relative to the run's; None where there is no such split."""
        return f"{self.folder}/{name}" if self.folder is not None and name in self.digests else None


class Preparation:
    """Prepares the cells of one run; `places` are the launchers by name.

    `candidates` holds the digest of each candidate's own artefact, once a cell of it has been prepared.
    """

    def __init__(self, folder: Path, record: RunRecord, places: Launchers, say: Callable[[str], None]) -> None:
        self._folder, self._record, self._places, self._say = folder, record, places, say
        self._made: dict[tuple[str, str, tuple[str, ...], str], PreparedCell] = {}
        self.candidates: dict[str, str] = {}

    def check(self, target: Target) -> Outcome:
        """Ask in a fresh process if `target` can be used here. Raises SpecError if its runtime or options are wrong."""
        self._say(f"checking target {target.name}")
        return self._do(f"target-{target.name}", CheckTarget(target=target), target.launcher, target.python)

    def dataset(self) -> Data:
        """Make the dataset's arrays. Raises SpecError if that is not possible, or an earlier attempt had other rows."""
        dataset = self._record.suite.dataset
        if dataset.synthetic is not None:
            return Data(None, {})
        self._say("preparing the dataset")
        outcome = self._do("dataset", MakeDataset(dataset=dataset, base=self._record.base))
        if outcome.status != "ok":
            where = "--inputs" if self._record.synthetic_policy else f"{self._record.suite_file}: dataset"
            log = _dataset_log(self._folder, dataset)
            raise SpecError(where, outcome.message, f"see {log}" if log is not None else "")
        if (before := _readable(self._folder)) is not None and before.digests != outcome.digests:
            shutil.rmtree(self._folder / _FOLDER / "dataset")  # else the next attempt would take it as it is
            mend = "put the old one back, or begin a new run"
            raise SpecError(self._record.suite_file, "the dataset has changed since the run began", mend)
        return Data(f"{_FOLDER}/dataset", outcome.digests)

    def cell(self, cell: Cell, checked: Outcome, data: Data) -> PreparedCell:
        """Make what `cell` needs in order to run, or say why it cannot; `checked` is the check of its target."""
        if checked.status != "ok":
            return PreparedCell(status="skipped", why=f"target not available here: {checked.message}")
        try:
            own = self.variant(cell.candidate)
        except OSError as error:
            what = f"the artefact of '{cell.candidate.name}' cannot be read: {error.filename}: {error.strerror}"
            raise SpecError(self._record.suite_file, what, "put it back") from error
        self.candidates[cell.candidate.name] = own.digest
        if cell.candidate.sha256 is not None and own.digest != cell.candidate.sha256:
            why = f"sha256 of {cell.candidate.path} is {own.digest}, the suite pins {cell.candidate.sha256}"
            return PreparedCell(status="failed", failure="load_error", why=why)
        start, loads = Form(own.format, own.precision), checked.formats
        steps = _steps(start, checked, cell.target.precision)
        if steps is None:
            wanted = f"{cell.target.runtime} loads {', '.join(loads)} in {cell.target.precision}"
            mend = f" ({nearest(cell.target.precision, others)})" if (others := precisions(start, loads)) else ""
            return PreparedCell(status="skipped", why=f"{wanted}; no conversion leads there from {start}{mend}")
        made = PreparedCell(status="ok", variant=own) if not steps else self._converted(cell, own, steps, data)
        return _cast(made, cell.target.precision)

    def variant(self, candidate: Candidate) -> Variant:
        """Stage a candidate's own files and describe them, with the digest of their content."""
        base = Path(self._record.base)
        files = [base / name for name in (candidate.path, candidate.weights) if name is not None]
        digest = artefacts.digest_of(files, candidate.builder, base)
        every = artefacts.with_companions(files)
        staged = dict(zip(every, artefacts.stage(self._folder, every, digest), strict=True))
        return Variant(
            format=candidate.format or (format_of(candidate.path) if candidate.path else None) or "torch",
            precision=candidate.precision,
            path=staged[base / candidate.path] if candidate.path else None,
            builder=candidate.builder,
            weights=staged[base / candidate.weights] if candidate.weights else None,
            digest=digest,
            bytes=sum(path.stat().st_size for path in every) if every else None,
            trust_pickle=self._record.suite.trust_pickle,
            import_from=self._record.base if candidate.builder else None,
        )

    def _converted(self, cell: Cell, own: Variant, steps: tuple[str, ...], data: Data) -> PreparedCell:
        """Go through a chain of conversions once for all targets that need the same."""
        options = repr(sorted(cell.target.conversion.items()))
        key = (cell.candidate.name, cell.target.runtime, steps, options)
        if key not in self._made:
            self._made[key] = self._chain(cell, own, steps, data)
        return self._made[key]

    def _chain(self, cell: Cell, own: Variant, steps: tuple[str, ...], data: Data) -> PreparedCell:
        variant, notes, takes = own, tuple[Diagnostic, ...](), tuple[str, ...]()
        reference: str | None = None
        for conversion in steps:
            plain, asked = self._cached(cell, variant, conversion, data, reference)
            cached = plain if _takes_none(succeeded(plain), cell.target) else asked
            outcome = succeeded(cached)
            if outcome is None:
                name = f"convert-{cell.candidate.name}-{conversion}-{cached.name[:8]}"
                outcome = self._convert(name, cell, variant, conversion, data, reference)
                if outcome.status != "ok":
                    why = f"conversion {conversion}: {outcome.message}"
                    status: Literal["failed", "skipped"] = "skipped" if outcome.status == "unavailable" else "failed"
                    return PreparedCell(status=status, failure=outcome.failure, why=why)
                cached = plain if _takes_none(outcome, cell.target) else asked
                cached = artefacts.store(self._folder / _FOLDER / name, cached)
            variant, reference = self._result(cached, outcome, variant, conversion)
            notes, takes = (*notes, *outcome.notes), (*takes, *outcome.settings)
        allowed = tolerance(self._record.suite.parity, variant.precision)
        problem = artefacts.too_far(variant.parity, allowed) if variant.parity else None
        if problem and not (variant.precision != own.precision and judges_quality(self._record.suite.policy)):
            return PreparedCell(status="failed", failure="output_error", why=problem, variant=variant, takes=takes)
        missed = (diagnostic("parity_missed", f"{problem}; the policy's limits decide"),) if problem else ()
        return PreparedCell(status="ok", variant=variant, notes=(*notes, *missed), takes=takes)

    def _cached(
        self, cell: Cell, source: Variant, conversion: str, data: Data, reference: str | None
    ) -> tuple[Path, Path]:
        """Return where a conversion is kept: if it takes none of the target's options, and if it takes some."""
        own = file_digest(self._folder / reference) if reference is not None else None
        compared = (cell.candidate.output, cell.candidate.task, own)
        digests = data.digests or {"synthetic": repr((self._record.suite.dataset.synthetic, self._record.seed))}
        keyed = partial(artefacts.cache_key, source, conversion, cell.target.runtime)
        plain, asked = (keyed(options, digests, compared) for options in ({}, cell.target.conversion))
        return artefacts.cache_folder() / plain, artefacts.cache_folder() / asked

    def _convert(
        self, name: str, cell: Cell, source: Variant, conversion: str, data: Data, reference: str | None
    ) -> Outcome:
        self._say(f"converting {cell.candidate.name}: {conversion}")
        job = Convert(
            candidate=cell.candidate,
            target=cell.target,
            source=source,
            conversion=conversion,
            dataset=data.split("evaluation"),
            calibration=data.split("calibration"),
            synthetic=self._record.suite.dataset.synthetic,
            reference=reference,
            seed=self._record.seed,
        )
        return self._do(name, job)

    def _result(self, cached: Path, outcome: Outcome, source: Variant, conversion: str) -> tuple[Variant, str]:
        """Stage what a conversion made; returns it and the file with the candidate's own outputs."""
        made, reference = (cached / name for name in outcome.files)
        digest, files = artefacts.digest_of([made]), artefacts.with_companions([made])
        given = Form(source.format, source.precision)
        form = apply(conversion, given) or given
        staged, *_, kept = artefacts.stage(self._folder, [*files, reference], digest)
        variant = Variant(
            format=form.format,
            precision=form.precision,
            options=source.options | {key: value for key, value in outcome.settings.items() if value is not None},
            path=staged,
            digest=digest,
            bytes=sum(path.stat().st_size for path in files),
            steps=(*source.steps, conversion),
            parity=outcome.parity,
        )
        return variant, kept

    def _do(self, name: str, job: Job, launcher: str = PROCESS, python: str | None = None) -> Outcome:
        """Do a preparing job unless an earlier attempt at this run has done it. Limits of targets do not apply."""
        folder = self._folder / _FOLDER / name
        if (done := succeeded(folder)) is not None:
            return done
        shutil.rmtree(folder, ignore_errors=True)
        timeout_s = max(FIRST_TIMEOUT_S, self._record.suite.budget.phase_timeout_s)
        outcome = run_job(self._places[launcher], folder, job, Terms(self._folder, python=python, timeout_s=timeout_s))
        if outcome.status == "invalid" and isinstance(job, CheckTarget | Convert):
            raise SpecError(f"target '{job.target.name}'", outcome.message)
        return outcome


def _dataset_log(folder: Path, dataset: Dataset) -> Path | None:
    """Return the log of a dataset that was not made, with the traceback of its builder; None where there is no such."""
    made = folder / _FOLDER / "dataset"
    log, sources = made / "worker.log", (dataset, dataset.calibration, dataset.production)
    built = any(source is not None and source.builder is not None for source in sources)
    return log if built and succeeded(made) is None and log.is_file() else None


def worth_keeping(folder: Path, record: RunRecord) -> bool:
    """Whether a run that was refused holds more than the message said: evidence, or the log of a builder."""
    return (folder / "prepare.json").exists() or _dataset_log(folder, record.suite.dataset) is not None


def _takes_none(outcome: Outcome | None, target: Target) -> bool:
    """Whether a conversion, as its outcome tells, takes none of the target's options; not if there is no outcome."""
    return outcome is not None and set(target.conversion).isdisjoint(outcome.settings)


def judges_quality(policy: Policy) -> bool:
    """Whether a limit of the policy is on the quality of predictions, so that it rules out what has lost too much."""
    return any(name in QUALITY or name in plugins.names("metrics") for _, name in map(split_key, policy.limits))


def _steps(start: Form, checked: Outcome, precision: str) -> tuple[str, ...] | None:
    """Return the conversions to what a target loads; where none leads to its precision, to one that it casts."""
    for wanted in checked.precisions or (precision,):
        steps = chain(start, checked.formats, wanted)
        if steps is not None:
            return steps
    return None


def _cast(made: PreparedCell, precision: str) -> PreparedCell:
    """Say of a variant in another precision than its target's that the runtime casts it as it loads it."""
    if made.variant is None or made.variant.precision == precision:
        return made
    return msgspec.structs.replace(made, variant=msgspec.structs.replace(made.variant, cast_to=precision))


def prepare(folder: Path, record: RunRecord, observer: Observer, places: Launchers) -> Prepared:
    """Check targets, make the dataset and the variants, and try each cell in a process of its own."""
    done = _earlier(folder)
    if done is not None:
        return done
    begin = time.monotonic()
    work = Preparation(folder, record, places, observer.say)
    checked = {target.name: work.check(target) for target in record.targets}
    data = work.dataset()
    made = {cell.name: work.cell(cell, checked[cell.target.name], data) for cell in cells(record.suite, record.targets)}
    for name, cell in made.items():
        if cell.variant is not None:
            artefacts.refuse_other(cell.variant, folder / "cells" / name)
    for target in record.targets:
        refuse_unused_options(target, [each for name, each in made.items() if name.endswith(f"@{target.name}")])
    first = FirstTrials(folder, record, places, observer, data.folder, data.digests.get(SPLITS[0]))
    for each in cells(record.suite, record.targets):
        if made[each.name].status == "ok":
            made[each.name] = first.run(each, made[each.name], checked[each.target.name])
    spent_s = time.monotonic() - begin
    prepared = Prepared(
        cells=made, dataset=data.folder, digests=data.digests, candidates=work.candidates, spent_s=spent_s
    )
    write_json(folder / "prepare.json", prepared)
    return prepared


def _earlier(folder: Path) -> Prepared | None:
    """Return what an earlier attempt prepared, if all of it can still be read. Raises SpecError if it has changed."""
    done = _readable(folder)
    if done is None or (done.dataset is not None and succeeded(folder / done.dataset) is None):
        return None
    tried = [cold_folder(folder, name, 1) for name, cell in done.cells.items() if cell.status == "ok"]
    if not all(map(succeeded, tried)):
        return None
    variants = [cell.variant for cell in done.cells.values() if cell.variant is not None]
    if not all((folder / variant.path).is_file() for variant in variants if variant.path is not None):
        return None
    for variant in variants:
        artefacts.refuse_changed(variant, folder)
    return done


def _readable(folder: Path) -> Prepared | None:
    try:
        return read_prepared(folder)
    except EvidenceError:
        return None
