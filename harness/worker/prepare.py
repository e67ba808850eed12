"""The jobs that come before trials: probe a target, describe a model, turn a dataset into plain arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.runtimes.base import Array, ModelError
from harness.runtimes.builder import call
from harness.spec.metrics import nearest
from harness.spec.suite import Dataset
from harness.spec.target import Target
from harness.spec.wire import Describe, Input, MakeDataset, Outcome, Probe
from harness.worker.evidence import save_array


def probe(job: Probe) -> Outcome:
    """Say whether the target can be used here ("ok"), not ("unavailable"), or is wrong ("invalid")."""
    from harness.runtimes import registry

    target = job.target
    try:
        runtime = registry.load(target.runtime)
    except LookupError:
        mend = nearest(target.runtime, registry.names())
        return Outcome(status="invalid", message=f"runtime: unknown runtime '{target.runtime}' ({mend})")
    except ImportError as error:
        return Outcome(status="unavailable", message=f"the runtime cannot be imported: {error}")
    problem = _wrong_option(target, runtime.options)
    if problem:
        return Outcome(status="invalid", message=problem)
    try:
        reason = runtime.unavailable(target)
        versions = {} if reason else runtime.versions()
    except ImportError as error:
        reason, versions = f"{error}", {}
    if reason:
        return Outcome(status="unavailable", message=reason, formats=runtime.formats)
    return Outcome(status="ok", formats=runtime.formats, versions=versions)


def describe(job: Describe) -> Outcome:
    """Load a model and say what it takes.

    Raises:
        ModelError: it cannot be loaded.
    """
    from harness.runtimes import registry

    session = registry.load(job.target.runtime).load(job.artefact, job.target, 1, 0, 0)
    inputs = tuple(Input(name=t.name, dtype=str(t.dtype or "unknown"), shape=t.shape) for t in session.inputs)
    return Outcome(status="ok", inputs=inputs)


def _wrong_option(target: Target, known: Mapping[str, type]) -> str | None:
    for key, value in target.options.items():
        if key not in known:
            return f"options.{key}: unknown key ({nearest(key, list(known))})"
        if type(value) is not known[key]:
            return f"options.{key}: expected {known[key].__name__}, got {type(value).__name__}"
    return None


def make_dataset(job: MakeDataset, folder: Path) -> Outcome:
    """Write `inputs/<name>.npy` and, where there are any, `labels.npy` and `groups.npy`.

    Raises:
        ModelError: the dataset cannot be loaded, or its parts do not fit together.
    """
    inputs, extras = _parts(_raw(job.dataset, Path(job.base)))
    rows = {name: len(array) for name, array in {**inputs, **extras}.items()}
    if len(set(rows.values())) != 1 or 0 in rows.values():
        raise ModelError(f"the dataset's arrays must have the same number of rows, 1 or more; they have {rows}")
    digest = hashlib.sha256()
    files: dict[str, int] = {}
    for name, array in [*((f"inputs/{n}", a) for n, a in inputs.items()), *extras.items()]:
        digest.update(f"{name}:{array.dtype}:{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
        files[f"{name}.npy"] = save_array(folder / f"{name}.npy", array)
    return Outcome(status="ok", digest=digest.hexdigest(), files=files)


def _raw(dataset: Dataset, base: Path) -> Mapping[str, Any]:
    if dataset.builder is not None:
        result = call(dataset.builder, str(base))
        if not isinstance(result, Mapping):
            raise ModelError(f"{dataset.builder} must return a dict with 'inputs', not {type(result).__name__}")
        return result
    path = base / str(dataset.path)
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as .npz: {error}") from error


def _parts(raw: Mapping[str, Any]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Split into inputs by name and labels/groups; in an .npz all other arrays are inputs."""
    extras = {key: np.asarray(raw[key]) for key in ("labels", "groups") if raw.get(key) is not None}
    given = raw.get("inputs", {key: value for key, value in raw.items() if key not in extras})
    if not isinstance(given, Mapping):
        given = {"inputs": given}
    inputs = {str(name): np.asarray(array) for name, array in given.items()}
    if not inputs:
        raise ModelError("the dataset has no inputs; give 'inputs' (an array, or a dict of arrays)")
    for name, array in inputs.items():
        if array.ndim == 0 or array.dtype == object:
            raise ModelError(f"dataset input '{name}' must be an array of numbers with rows first")
        if "/" in name:
            raise ModelError(f"dataset input '{name}' has a '/' in its name")
    return inputs, extras
