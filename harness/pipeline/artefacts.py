"""Artefacts by content: digests, parity, the cache of conversions, and the copies in a run folder."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from importlib.util import find_spec
from pathlib import Path

from harness.errors import EvidenceError, SpecError
from harness.evidence.files import cannot_write, file_digest
from harness.evidence.folder import read_job, succeeded
from harness.score.words import percent
from harness.spec.suite import Parity
from harness.spec.target import Option
from harness.spec.variant import ParityReport, Variant
from harness.spec.wire import Trial

_CHANGED = "has changed since the run began; going on would mix two models in one row"


def cache_folder() -> Path:
    """Return where conversions are kept between runs (XDG_CACHE_HOME)."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "harness" / "artefacts"


def store(made: Path, cached: Path) -> Path:
    """Copy a finished conversion into the cache and return where it is kept.

    The rename makes it whole or absent; a damaged entry is replaced. Returns `made` where the cache is not writable.
    """
    temporary = cached.with_name(f"{cached.name}.{os.getpid()}")
    try:
        shutil.copytree(made, temporary)
        if succeeded(cached) is None:
            shutil.rmtree(cached, ignore_errors=True)  # damaged
        temporary.rename(cached)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        return made if succeeded(cached) is None else cached
    return cached


def stage(root: Path, files: Sequence[Path], digest: str) -> list[str]:
    """Bring files into the staging root and return their paths relative to it, so that the root can travel.

    A file is a hard link where the file system allows that, else a copy. Raises EvidenceError if it cannot be made.
    """
    folder = root / "artefacts" / digest[:16]
    for file in files:
        path = folder / file.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            try:
                path.hardlink_to(file.resolve())
            except OSError:
                shutil.copyfile(file, path)
        except OSError as error:
            raise cannot_write(path, error) from error
    return [str((folder / file.name).relative_to(root)) for file in files]


def digest_of(paths: Iterable[Path], builder: str | None = None, base: Path = Path()) -> str:
    """Return the SHA-256 of an artefact's content, as hexadecimal.

    Of one file, its own digest. A builder adds its name, and its source if found; an ONNX model its external data.
    """
    files = with_companions(paths)
    if builder is None and len(files) == 1:
        return file_digest(files[0])
    source = _source(builder, base) if builder else None
    digests = [file_digest(path) for path in (*files, source) if path is not None]
    return hashlib.sha256("".join([builder or "", *digests]).encode()).hexdigest()


def with_companions(paths: Iterable[Path]) -> list[Path]:
    """Return the files, each followed by the external data that an ONNX model keeps beside it."""
    found: list[Path] = []
    for path in paths:
        names = (f"{path.name}.data", f"{path.name}_data", f"{path.stem}.data") if path.suffix == ".onnx" else ()
        found += [path, *(data for name in names if (data := path.with_name(name)).is_file())]
    return found


def _source(builder: str, base: Path) -> Path | None:
    """Find a builder's module file without importing it."""
    module = builder.partition(":")[0]
    beside = base / (module.replace(".", "/") + ".py")
    if beside.is_file():
        return beside
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin and Path(spec.origin).is_file() else None


def cache_key(
    source: Variant,
    conversion: str,
    runtime: str,
    options: Mapping[str, Option],
    digests: Mapping[str, str],
    compared: Sequence[str | None],
) -> str:
    """Return the key of a conversion: everything that decides its content or its comparison with the original.

    That is the source's content, format and precision, the conversion with the target's options for it, the splits
    of the dataset (calibration, parity), the runtime that runs the result, what else is `compared` (output, task,
    digest of the candidate's own outputs), the conversion's code, which has the defaults of its options, and the
    versions of its distribution and of what that requires.
    """
    parts = [source.digest, source.format, source.precision, conversion, runtime, dict(options), dict(digests)]
    content = json.dumps([*parts, *compared, _code(conversion), _versions(conversion)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _code(conversion: str) -> list[str]:
    """Return the digests of the module that a conversion is in and, in a package, of the modules beside it.

    Nothing is imported: that is the child's work. Empty where the source is not found.
    """
    found: list[str] = []
    for entry in entry_points(group="harness.conversions", name=conversion):
        top, *inner = entry.module.split(".")
        try:
            spec = find_spec(top)
        except (ImportError, ValueError):
            continue
        if spec is not None and inner:
            roots = [Path(folder, *inner[:-1]) for folder in spec.submodule_search_locations or ()]
            found += [file_digest(path) for root in roots for path in sorted(root.glob("*.py"))]
        elif spec is not None and spec.origin and Path(spec.origin).is_file():
            found.append(file_digest(Path(spec.origin)))
    return found


def _versions(conversion: str) -> dict[str, str]:
    """Return the versions of the distribution that a conversion comes from, and of what it requires."""
    found: dict[str, str] = {}
    for entry in entry_points(group="harness.conversions", name=conversion):
        name = entry.dist.name if entry.dist is not None else ""
        needed = [re.split(r"[^A-Za-z0-9._-]", need)[0] for need in (requires(name) or [])] if name else []
        for package in (name, *needed):
            try:
                found[package] = version(package)
            except (PackageNotFoundError, ValueError):
                found[package] = ""
    return found


def refuse_changed(variant: Variant, root: Path) -> None:
    """Refuse an artefact that has changed since the run began: raises SpecError if its digest differs or it is gone."""
    paths = [root / path for path in (variant.path, variant.weights) if path is not None]
    try:
        same = digest_of(paths, variant.builder, Path(variant.import_from or ".")) == variant.digest
    except OSError as error:
        raise _refused(variant, f"cannot be read: {error.strerror}") from error
    if not same:
        raise _refused(variant, _CHANGED)


def refuse_other(variant: Variant, trials: Path) -> None:
    """Refuse a variant that is not the one that the trials in this folder measured; raises SpecError."""
    for outcome in trials.glob("trial-[0-9][0-9]/outcome.json"):
        with suppress(EvidenceError):  # a trial without its job is measured again
            job = read_job(outcome.parent)
            if isinstance(job, Trial) and job.variant.digest != variant.digest:
                raise _refused(variant, _CHANGED)


def _refused(variant: Variant, what: str) -> SpecError:
    return SpecError(variant.path or variant.builder or "", what, "put the old one back, or begin a new run")


def too_far(report: ParityReport, allowed: Parity) -> str | None:
    """Say how a variant's outputs differ beyond the tolerance; None when they do not."""
    if allowed.max_abs_diff is not None and not report.max_abs_diff <= allowed.max_abs_diff:
        return (
            f"the converted model differs from its original by {report.max_abs_diff:.3g} "
            f"on {report.rows} rows (at most {allowed.max_abs_diff:g} is allowed: parity.max_abs_diff)"
        )
    agreement, least = report.top1_agreement, allowed.top1_agreement
    if agreement is not None and least is not None and agreement < least:
        return (
            f"the converted model has its original's top-1 class in {percent(agreement, 2)} of {report.rows} rows "
            f"(at least {percent(least, 2)} is needed: parity.top1_agreement)"
        )
    return None
