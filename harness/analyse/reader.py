"""All the evidence of a run, read once and kept up to date while the run goes on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.analyse.cells import QualityData, entry
from harness.analyse.trials import TrialMetrics, read_trial
from harness.errors import EvidenceError
from harness.evidence.files import read_array
from harness.evidence.folder import PREDICTIONS
from harness.evidence.run import Cell, Drop, Prepared, PreparedCell, RunRecord, cells, read_prepared, read_run
from harness.scenarios.base import kind
from harness.score.records import Entry
from harness.score.words import listed
from harness.spec.arrays import Array
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.policy import Policy
from harness.spec.wire import Fact


class RunReader:
    """A run folder's trials as metrics, by cell. `refresh` reads what has been added since."""

    def __init__(self, folder: Path, record: RunRecord, prepared: Prepared | None) -> None:
        self.folder, self.record = folder, record
        self.prepared = prepared or Prepared(cells={})
        self.cells: tuple[Cell, ...] = cells(record.suite, record.targets)
        self._trials: dict[str, dict[int, TrialMetrics]] = {cell.name: {} for cell in self.cells}
        self._damaged: dict[Path, str] = {}
        self._lost: dict[Path, str] = {}

    def refresh(self) -> None:
        """Read the trials that ended since the last time; what is damaged is noted, not used."""
        for cell in self.cells:
            for folder in sorted((self.folder / "cells" / cell.name).glob("trial-[0-9]*")):
                number = folder.name.removeprefix("trial-")
                if number.isdigit() and int(number) - 1 not in self._trials[cell.name]:
                    self._read(cell, folder, int(number) - 1)

    def _read(self, cell: Cell, folder: Path, block: int) -> None:
        try:
            trial = read_trial(folder, block, self.record.suite.scenario)
        except EvidenceError as error:
            self._damaged[folder] = str(error)
            return
        if trial is not None:
            self._trials[cell.name][block] = trial
            self._damaged.pop(folder, None)

    def trials(self, cell: str) -> list[TrialMetrics]:
        """Return a cell's trials in block order."""
        return [trial for _, trial in sorted(self._trials[cell].items())]

    def failed(self, cell: str, through: int) -> bool:
        """Whether a trial of the cell failed in the first `through` blocks."""
        return any(t.outcome.status != "ok" and t.block < through for t in self._trials[cell].values())

    def seconds_of(self, cell: str, block: int) -> float | None:
        """Return the wall seconds of a trial that has ended, launch included; None when it has to be run."""
        if block not in self._trials[cell]:
            self.refresh()
        trial = self._trials[cell].get(block)
        return None if trial is None else trial.outcome.wall_s

    def has_tails(self, names: Sequence[str], samples: int) -> bool:
        """Whether every trial of these cells has samples enough for the extreme percentile."""
        timed = [s.name for s in self.record.suite.scenario if kind(s).times_requests]
        windows = [w for name in names for t in self.trials(name) for s in timed for w in t.windows(s)]
        return all(window.samples >= samples for window in windows)

    def hosts(self) -> tuple[tuple[dict[str, Fact], int], ...]:
        """Return each host that trials ran on, with the number of trials, most first."""
        launched = [t.outcome.launched for cell in self.cells for t in self.trials(cell.name)]
        counts = Counter(tuple(each.host.items()) for each in launched if each is not None)
        return tuple((dict(items), count) for items, count in counts.most_common())

    def entries(
        self, policy: Policy, dropped: Mapping[str, Drop] | None = None, through: int | None = None
    ) -> list[Entry]:
        """Return the scorer's entries of all cells, by their first `through` blocks (all when None).

        Cost depends on the policy's latency limit. `dropped` is why cells left the race.
        """
        reference = self._reference()
        found = []
        for cell in self.cells:
            prepared = self.prepared.cells.get(cell.name, PreparedCell(status="skipped", why="never prepared"))
            trials = [t for t in self.trials(cell.name) if through is None or t.block < through]
            data = QualityData(self._split("labels"), self._split("weights"), self._predictions(cell.name), reference)
            found.append(entry(cell, prepared, trials, policy, data, (dropped or {}).get(cell.name)))
        return found

    def notes(self) -> tuple[Diagnostic, ...]:
        """Return what a reader must know: damaged evidence, and what the trials themselves noted."""
        damaged = [f"{text}; not used, `harness run --resume` measures it again" for text in self._damaged.values()]
        damaged += [f"{text}; quality is judged without it" for text in self._lost.values()]
        found = [diagnostic("evidence_damaged", text) for text in damaged]
        said: dict[str, tuple[Diagnostic, list[str]]] = {}
        for cell in self.cells:
            for trial in self.trials(cell.name)[:1]:
                for note in trial.outcome.notes:
                    said.setdefault(note.message, (note, []))[1].append(cell.name)
        found += [
            diagnostic(note.code, f"{text} ({listed(names)})", cells=[*names]) for text, (note, names) in said.items()
        ]
        return tuple(found)

    def _split(self, name: str) -> Array | None:
        """Open an array of the evaluation split (labels, groups, weights); None where there is none."""
        if self.prepared.dataset is None:
            return None
        path = self.folder / self.prepared.dataset / "evaluation" / f"{name}.npy"
        return read_array(path) if path.exists() else None

    def _predictions(self, cell: str) -> Array | None:
        for trial in self.trials(cell):
            path = trial.folder / PREDICTIONS
            if trial.outcome.status == "ok" and PREDICTIONS in trial.outcome.files:
                try:
                    return read_array(path)
                except EvidenceError as error:
                    self._lost[path] = str(error)
        return None

    def _reference(self) -> Array | None:
        """Return the outputs of the suite's reference on the first target where it ran."""
        named = [cell.name for cell in self.cells if cell.candidate.name == self.record.suite.reference]
        return next((found for name in named if (found := self._predictions(name)) is not None), None)


def open_run(folder: Path) -> RunReader:
    """Read a run folder's evidence. Raises EvidenceError if its records are damaged."""
    reader = RunReader(folder, read_run(folder), read_prepared(folder))
    reader.refresh()
    return reader
