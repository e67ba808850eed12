"""The sides of a comparison, read from their runs: rows with their metrics, and where and how they were measured."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple, cast

import msgspec
import numpy as np

from harness.analyse.devices import gpu_facts
from harness.analyse.reader import RunReader, open_run
from harness.analyse.trials import TrialMetrics
from harness.errors import EvidenceError
from harness.evidence.folder import SLICE_COLUMNS
from harness.evidence.run import PreparedCell, RunRecord
from harness.score.records import Entry
from harness.score.words import name_of
from harness.spec.diagnostics import Diagnostic
from harness.spec.outcome import Fact
from harness.spec.policy import Policy

_KERNEL = SLICE_COLUMNS.index("kernel_ns")
_GPU = ("name", "mig", "memory_total_bytes", "power_limit_w", "compute_mode")


class Place(NamedTuple):
    """Where and how a row's processes ran: what the host is, what was granted, the GPU, versions."""

    host: Mapping[str, Fact]
    granted: Mapping[str, str]
    gpu: Mapping[str, Fact]
    versions: Mapping[str, str]


class Side(NamedTuple):
    """One run: its record, its rows by name, how each was prepared, and where it ran.

    `kernel_ns` is the median of the calibration kernel, which no change of a model or runtime touches; None: not known.
    `damaged` says which evidence could not be used.
    """

    folder: Path
    record: RunRecord
    entries: dict[str, Entry]
    prepared: Mapping[str, PreparedCell]
    dataset: Mapping[str, str]
    places: dict[str, Place]
    kernel_ns: float | None
    damaged: tuple[Diagnostic, ...] = ()

    def digest(self, row: str) -> str | None:
        """Return the digest of the variant that a row ran."""
        cell = self.prepared.get(row)
        return cell.variant.digest if cell is not None and cell.variant is not None else None


def read_side(folder: Path, policy: Policy | None = None) -> Side:
    """Read a run; cost and the like follow `policy`, the run's own when None. Raises EvidenceError if damaged."""
    reader = open_run(folder)
    entries = reader.entries(policy or reader.record.suite.policy)
    if not any(entry.metrics for entry in entries):
        raise EvidenceError(f"{folder}: no row was measured (complete it with `harness run --resume {folder}`)")
    places = {cell.name: place for cell in reader.cells if (place := _place(reader, cell.name)) is not None}
    return Side(
        folder,
        reader.record,
        {name_of(entry): entry for entry in entries},
        reader.prepared.cells,
        reader.prepared.digests,
        places,
        _kernel_ns(reader),
        tuple(note for note in reader.notes() if note.code == "evidence_damaged"),
    )


def _trials(reader: RunReader, cell: str) -> list[TrialMetrics]:
    return [trial for trial in (*reader.cold(cell), *reader.trials(cell)) if trial.outcome.status == "ok"]


def _place(reader: RunReader, cell: str) -> Place | None:
    """Return where a row ran, as its last trial tells: it is limited as the measured ones are."""
    trials = _trials(reader, cell)
    if not trials:
        return None
    outcome = trials[-1].outcome
    if (launched := outcome.launched) is None:
        return Place({}, {}, {}, outcome.versions)
    resources = launched.resources
    granted = {**resources.limits, "threads": str(resources.threads), "launcher": launched.launcher}
    facts = gpu_facts(trial.outcome for trial in trials)
    gpu = {key: facts[key] for key in _GPU if key in facts}
    driver = {"GPU driver": str(facts["driver"])} if facts.get("driver") else {}
    return Place(launched.host, granted, gpu, {**outcome.versions, **driver})


def _kernel_ns(reader: RunReader) -> float | None:
    """Return the median over trials of each trial's median of the calibration kernel."""
    found = []
    for cell in reader.cells:
        for trial in reader.trials(cell.name):
            try:
                kernel = trial.slices()[:, _KERNEL]
            except EvidenceError:
                continue
            if (known := kernel[kernel >= 0]).size:
                found.append(float(np.median(known)))
    return median(found) if found else None


def without_seconds(scenario: object) -> object:
    """Return a scenario without its length, which may differ between comparable runs."""
    struct = cast(msgspec.Struct, scenario)
    if "seconds" not in struct.__struct_fields__:
        return scenario
    return msgspec.structs.replace(struct, seconds=1.0)
