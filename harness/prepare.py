"""Before the first trial: probe the targets, make the dataset, make the artefacts. All in child processes."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.convert.ways import MAKERS, too_far, wanted_format
from harness.errors import EvidenceError, SpecError
from harness.plan import Cell
from harness.runs import Ready, RunRecord
from harness.spec.check import format_of
from harness.spec.find import known, load_target
from harness.spec.suite import Candidate
from harness.spec.target import Target
from harness.spec.wire import Artefact, Convert, Job, MakeDataset, Outcome, Probe
from harness.trial.folder import read_outcome
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
            digest=_digest(paths.values(), candidate.builder, base),
            bytes=sum(Path(p).stat().st_size for p in paths.values()) if paths else None,
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
        cached = cache_folder() / _cache_key(artefact, wanted, digest, candidate.output)
        outcome = _complete(cached)
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
            name = f"{candidate.name}-{wanted}"
            outcome = self._do(name, job)
            if outcome.status != "ok":
                why = f"conversion to {wanted}: {outcome.message}"
                return Ready(status="failed", failure=outcome.failure, why=why)
            cached = _store(self._folder / "prepare" / name, cached)
        return self._judged(cached / f"model.{wanted}", wanted, outcome)

    def _judged(self, path: Path, wanted: str, outcome: Outcome) -> Ready:
        report = outcome.parity
        why = too_far(report, self._record.suite.parity) if report else None
        if why:
            return Ready(status="failed", failure="output_error", why=why, parity=report)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        artefact = Artefact(format=wanted, path=str(path), digest=digest, bytes=path.stat().st_size)
        return Ready(status="ok", artefact=artefact, parity=report)

    def _do(self, name: str, job: Job, python: str | None = None) -> Outcome:
        """Do a preparing job unless an earlier attempt at this run has done it."""
        folder = self._folder / "prepare" / name
        done = _complete(folder)
        if done is not None:
            return done
        shutil.rmtree(folder, ignore_errors=True)
        timeout = max(300.0, self._record.suite.budget.phase_timeout_s)
        return self._launch(folder, job, python=python, timeout_s=timeout)


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


def _complete(folder: Path) -> Outcome | None:
    try:
        outcome = read_outcome(folder)
    except EvidenceError:
        return None
    return outcome if outcome is not None and outcome.status == "ok" else None


def cache_folder() -> Path:
    """Return where converted artefacts are kept between runs (XDG_CACHE_HOME)."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "harness" / "artefacts"


def _store(made: Path, cached: Path) -> Path:
    """Copy a finished conversion into the cache and return where it is kept.

    The rename makes it whole or absent; a cache that cannot be written is done without.
    """
    temporary = cached.with_name(f"{cached.name}.{os.getpid()}")
    try:
        shutil.copytree(made, temporary)
        temporary.rename(cached)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        return made if _complete(cached) is None else cached
    return cached


def refuse_changed(artefact: Artefact) -> None:
    """Refuse to go on with an artefact that is not what it was when the run began.

    Raises:
        SpecError: its content has another digest now.
    """
    paths = [path for path in (artefact.path, artefact.weights) if path is not None]
    if _digest(paths, artefact.builder, Path(artefact.import_from or ".")) != artefact.digest:
        name = artefact.path or artefact.builder or ""
        what = "has changed since the run began; going on would mix two models in one row"
        raise SpecError(name, what, "put the old one back, or begin a new run")


def _digest(paths: Iterable[str], builder: str | None, base: Path) -> str:
    """Digest an artefact's files; a builder adds its name and, where it can be found, its source."""
    files = list(paths)
    if builder is None and len(files) == 1:
        return hashlib.sha256(Path(files[0]).read_bytes()).hexdigest()
    digest = hashlib.sha256((builder or "").encode())
    source = _source(builder, base) if builder else None
    for path in [*files, *([str(source)] if source else [])]:
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()


def _source(builder: str, base: Path) -> Path | None:
    """Find a builder's module file without importing it."""
    from importlib.util import find_spec

    module = builder.partition(":")[0]
    beside = base / (module.replace(".", "/") + ".py")
    if beside.is_file():
        return beside
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin and Path(spec.origin).is_file() else None


def _cache_key(artefact: Artefact, wanted: str, dataset_digest: str, output: str | None) -> str:
    """Key a conversion by what decides its content: artefact, dataset (for parity), makers' versions."""
    parts = [artefact.digest, artefact.format, wanted, dataset_digest, output or ""]
    parts += [f"{name}={_version(name)}" for name in MAKERS]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
