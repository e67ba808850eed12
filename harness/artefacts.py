"""Artefacts by content: their digests, and the cache of what was converted from them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from harness.convert.ways import MAKERS
from harness.errors import EvidenceError, SpecError
from harness.spec.wire import Artefact, Outcome
from harness.trial.folder import read_outcome


def complete(folder: Path) -> Outcome | None:
    """Return the outcome of a job in `folder` that ended well and whole; None otherwise."""
    try:
        outcome = read_outcome(folder)
    except EvidenceError:
        return None
    return outcome if outcome is not None and outcome.status == "ok" else None


def cache_folder() -> Path:
    """Return where converted artefacts are kept between runs (XDG_CACHE_HOME)."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "harness" / "artefacts"


def store(made: Path, cached: Path) -> Path:
    """Copy a finished conversion into the cache and return where it is kept.

    The rename makes it whole or absent; a cache that cannot be written is done without.
    """
    temporary = cached.with_name(f"{cached.name}.{os.getpid()}")
    try:
        shutil.copytree(made, temporary)
        temporary.rename(cached)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        return made if complete(cached) is None else cached
    return cached


def digest_of(paths: Iterable[str], builder: str | None, base: Path) -> str:
    """Return the SHA-256 of an artefact's content, as hexadecimal.

    Of one file, its own digest. A builder adds its name and, where it can be found, its source; an ONNX model
    its external data.
    """
    files = with_companions(paths)
    if builder is None and len(files) == 1:
        return file_digest(files[0])
    source = _source(builder, base) if builder else None
    digest = hashlib.sha256((builder or "").encode())
    for path in [*files, *([source] if source else [])]:
        digest.update(file_digest(path).encode())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Return a file's SHA-256 as hexadecimal, reading it in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def with_companions(paths: Iterable[str]) -> list[Path]:
    """Return the files, each followed by the external data an ONNX model keeps beside it."""
    found: list[Path] = []
    for path in map(Path, paths):
        found.append(path)
        if path.suffix == ".onnx":
            beside = (
                path.with_name(path.name + ".data"),
                path.with_name(path.name + "_data"),
                path.with_suffix(".data"),
            )
            found += [data for data in beside if data.is_file()]
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


def cache_key(artefact: Artefact, wanted: str, dataset_digest: str, output: str | None) -> str:
    """Key a conversion by what decides its content: artefact, dataset (for parity), makers' versions."""
    parts = [artefact.digest, artefact.format, wanted, dataset_digest, output or ""]
    parts += [f"{name}={_version(name)}" for name in MAKERS]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def refuse_changed(artefact: Artefact) -> None:
    """Refuse to go on with an artefact that is not what it was when the run began.

    Raises:
        SpecError: its content has another digest now.
    """
    paths = [path for path in (artefact.path, artefact.weights) if path is not None]
    if digest_of(paths, artefact.builder, Path(artefact.import_from or ".")) != artefact.digest:
        name = artefact.path or artefact.builder or ""
        what = "has changed since the run began; going on would mix two models in one row"
        raise SpecError(name, what, "put the old one back, or begin a new run")
