"""All the evidence of a run, read once and kept up to date while the run goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from harness.analyse.cells import entry
from harness.analyse.trials import TrialFacts, read_trial
from harness.analyse.verdicts import Drop
from harness.errors import EvidenceError
from harness.plan import Cell, cells
from harness.runs import Prepared, Ready, RunRecord, read_prepared, read_run, trial_folder
from harness.score.records import Entry
from harness.score.words import listed
from harness.spec.policy import Policy
from harness.trial.folder import read_array

Array = NDArray[Any]


class Evidence:
    """A run folder's trials as facts, by cell. `refresh` reads what has been added since."""

    def __init__(self, folder: Path, record: RunRecord, prepared: Prepared | None) -> None:
        self.folder, self.record = folder, record
        self.prepared = prepared or Prepared(cells={})
        self.cells: tuple[Cell, ...] = cells(record.suite, record.targets)
        self.facts: dict[str, dict[int, TrialFacts]] = {cell.name: {} for cell in self.cells}
        self.damaged: dict[Path, str] = {}
        self.lost: dict[Path, str] = {}

    def refresh(self) -> None:
        """Read the trials that ended since the last time; what is damaged is noted, not used."""
        first = self.record.suite.scenario[0].name
        for cell in self.cells:
            for folder in sorted((self.folder / "cells" / cell.name).glob("trial-[0-9]*")):
                number = folder.name.removeprefix("trial-")
                if not number.isdigit() or int(number) - 1 in self.facts[cell.name]:
                    continue
                self._read(cell, folder, int(number) - 1, first)

    def _read(self, cell: Cell, folder: Path, block: int, first: str) -> None:
        try:
            facts = read_trial(folder, block, first)
        except EvidenceError as error:
            self.damaged[folder] = str(error)
            return
        if facts is not None:
            self.facts[cell.name][block] = facts
            self.damaged.pop(folder, None)

    def trials(self, cell: str) -> list[TrialFacts]:
        """Return a cell's trials in block order."""
        return [facts for _, facts in sorted(self.facts[cell].items())]

    def failed(self, cell: str, through: int) -> bool:
        """Whether a trial of the cell failed in the first `through` blocks."""
        return any(t.outcome.status != "ok" and t.block < through for t in self.facts[cell].values())

    def seconds_of(self, cell: str, block: int) -> float | None:
        """Return how long a trial that has ended took, launch included; None when it has to be run."""
        folder = trial_folder(self.folder, cell, block)
        if block not in self.facts[cell]:
            self.refresh()
        if block not in self.facts[cell]:
            return None
        try:
            begin, end = ((folder / name).stat().st_mtime for name in ("job.json", "outcome.json"))
        except OSError:
            return self.facts[cell][block].outcome.duration_ns / 1e9
        return max(0.0, end - begin)

    def has_tails(self, names: Sequence[str], samples: int) -> bool:
        """Whether every trial of these cells has samples enough for the extreme percentile."""
        results = [r for name in names for t in self.trials(name) for r in t.outcome.scenarios if r.kind != "offline"]
        return all(result.samples >= samples for result in results)

    def entries(
        self, policy: Policy, dropped: Mapping[str, Drop] | None = None, through: int | None = None
    ) -> list[Entry]:
        """Return the scorer's entries of all cells.

        Args:
            policy: what to judge by (cost depends on its latency limit).
            dropped: why cells left the race.
            through: only this many blocks, all when None.
        """
        labels = self._labels()
        reference = self._reference()
        found = []
        for cell in self.cells:
            ready = self.prepared.cells.get(cell.name, Ready(status="skipped", why="never prepared"))
            found.append(
                entry(
                    cell,
                    ready,
                    [t for t in self.trials(cell.name) if through is None or t.block < through],
                    policy,
                    labels,
                    self._predictions(cell.name),
                    reference,
                    (dropped or {}).get(cell.name),
                )
            )
        return found

    def notes(self) -> tuple[str, ...]:
        """Return what a reader must know: damaged evidence, and what the trials themselves noted."""
        found = [f"{error}; not used, `harness run --resume` measures it again" for error in self.damaged.values()]
        found += [f"{error}; quality is judged without it" for error in self.lost.values()]
        said: dict[str, list[str]] = {}
        for cell in self.cells:
            for trial in self.trials(cell.name)[:1]:
                for note in trial.outcome.notes:
                    said.setdefault(note, []).append(cell.name)
        found += [f"{note} ({listed(names)})" for note, names in said.items()]
        return tuple(found)

    def _labels(self) -> Array | None:
        if self.prepared.dataset is None:
            return None
        path = self.folder / self.prepared.dataset / "labels.npy"
        return read_array(path) if path.exists() else None

    def _predictions(self, cell: str) -> Array | None:
        for trial in self.trials(cell):
            path = trial.folder / "predictions.npy"
            if trial.outcome.status == "ok" and "predictions.npy" in trial.outcome.files:
                try:
                    return read_array(path)
                except EvidenceError as error:
                    self.lost[path] = str(error)
        return None

    def _reference(self) -> Array | None:
        """Return the outputs of the suite's reference on the first target where it ran."""
        for cell in self.cells:
            if cell.candidate.name == self.record.suite.reference:
                predictions = self._predictions(cell.name)
                if predictions is not None:
                    return predictions
        return None


def open_run(folder: Path) -> Evidence:
    """Read a run folder's evidence.

    Raises:
        EvidenceError: its records are damaged.
    """
    evidence = Evidence(folder, read_run(folder), read_prepared(folder))
    evidence.refresh()
    return evidence
