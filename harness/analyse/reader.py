"""All the evidence of a run, read once and kept up to date while the run goes on."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from harness.analyse.cells import CellEvidence, entry
from harness.analyse.fleet import Fleet, fleet_of, users_of
from harness.analyse.precision import in_fp32
from harness.analyse.quality import QualityData
from harness.analyse.starts import Start, read_start
from harness.analyse.trials import TrialMetrics, read_cold, read_trial
from harness.errors import EvidenceError
from harness.evidence.files import read_array
from harness.evidence.folder import PREDICTIONS
from harness.evidence.run import (
    Cell,
    Drop,
    Prepared,
    PreparedCell,
    RunRecord,
    cells,
    read_block,
    read_prepared,
    read_run,
    trial_folder,
)
from harness.score.records import Entry, Measure
from harness.score.words import listed
from harness.spec.arrays import Array
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.outcome import Fact
from harness.spec.policy import Policy


class RunReader:
    """A run folder's trials as metrics, by cell. `refresh` reads what has been added since."""

    def __init__(self, folder: Path, record: RunRecord, prepared: Prepared | None) -> None:
        self.folder, self.record = folder, record
        self.prepared = prepared or Prepared(cells={})
        self.cells: tuple[Cell, ...] = cells(record.suite, record.targets)
        self._trials: dict[str, dict[int, TrialMetrics]] = {cell.name: {} for cell in self.cells}
        self._cold: dict[str, dict[int, TrialMetrics]] = {cell.name: {} for cell in self.cells}
        self._starts: dict[str, dict[int, Start]] = {cell.name: {} for cell in self.cells}
        self._fleets: dict[str, tuple[tuple[int, ...], Fleet | None]] = {}
        self._damaged: dict[Path, str] = {}
        self._lost: dict[Path, str] = {}

    def refresh(self) -> None:
        """Read the trials that ended since the last time; what is damaged is noted, not used."""
        for cell in self.cells:
            for known, prefix in ((self._trials, "trial-"), (self._cold, "cold-")):
                for number, folder in self._numbered(cell.name, prefix):
                    self._read(known[cell.name], folder, number)
            for number, folder in self._numbered(cell.name, "start-"):
                self._read_start(self._starts[cell.name], folder, number)

    def _numbered(self, cell: str, prefix: str) -> list[tuple[int, Path]]:
        """Return a cell's folders of one kind with their numbers, from 0; what was set aside has none."""
        folders = sorted((self.folder / "cells" / cell).glob(f"{prefix}[0-9]*"))
        told = [(folder.name.removeprefix(prefix), folder) for folder in folders]
        return [(int(number) - 1, folder) for number, folder in told if number.isdigit()]

    def _read_start(self, known: dict[int, Start], folder: Path, number: int) -> None:
        """Read a cold start that is not known yet."""
        if number in known:
            return
        try:
            start = read_start(folder, number)
        except EvidenceError as error:
            self._damaged[folder] = str(error)
            return
        if start is not None:
            known[number] = start
            self._damaged.pop(folder, None)

    def _read(self, known: dict[int, TrialMetrics], folder: Path, number: int) -> None:
        """Read a trial that is not known yet."""
        if number in known:
            return
        cold = folder.name.startswith("cold-")
        try:
            trial = read_cold(folder, number) if cold else read_trial(folder, number, self.record.suite.scenario)
        except EvidenceError as error:
            self._damaged[folder] = str(error)
            return
        if trial is not None:
            known[number] = trial
            self._damaged.pop(folder, None)

    def trials(self, cell: str) -> list[TrialMetrics]:
        """Return a cell's trials in block order."""
        return [trial for _, trial in sorted(self._trials[cell].items())]

    def cold(self, cell: str) -> list[TrialMetrics]:
        """Return a cell's cold trials in their order; `cold-01` is number 0."""
        return [trial for _, trial in sorted(self._cold[cell].items())]

    def starts(self, cell: str) -> list[Start]:
        """Return a cell's cold starts in their order."""
        return [start for _, start in sorted(self._starts[cell].items())]

    def failed(self, cell: str, through: int) -> bool:
        """Whether a cold start of the cell failed, or a trial in the first `through` blocks."""
        trials = self._evidence(cell, through)
        if any(start.outcome.status != "ok" for start in self.starts(cell)):
            return True
        return any(trial.outcome.status != "ok" for each in trials for trial in each)

    def has_evidence(self, cell: str, block: int) -> bool:
        """Whether the trial of a cell in a block has ended, and its files are whole."""
        self._read(self._trials[cell], trial_folder(self.folder, cell, block), block)
        return block in self._trials[cell]

    def forget(self, cells: Iterable[str], block: int) -> None:
        """Forget the trials of these cells in a block: they are to be measured again."""
        for cell in cells:
            self._trials[cell].pop(block, None)

    def seconds_of(self, cell: str, block: int) -> float | None:
        """Return the wall seconds of a trial that has ended, launch included; None when it has to be run."""
        return self._trials[cell][block].outcome.wall_s if self.has_evidence(cell, block) else None

    def block_seconds(self, block: int) -> float | None:
        """Return the wall seconds of a block that has ended; None before. Raises EvidenceError if damaged."""
        record = read_block(self.folder, block)
        return None if record is None else record.wall_s

    def alone(self, cell: str, block: int) -> bool:
        """Whether no other cell took turns with this one in a block, as far as its record tells."""
        with suppress(EvidenceError):
            record = read_block(self.folder, block)
            return record is None or all(len(group) == 1 for group in record.groups if cell in group)
        return False

    def _evidence(self, cell: str, through: int | None) -> tuple[list[TrialMetrics], list[TrialMetrics]]:
        """Return trials and cold trials by the first `through` blocks; the first cold one is from before them."""
        trials = [trial for trial in self.trials(cell) if through is None or trial.block < through]
        return trials, [trial for trial in self.cold(cell) if through is None or trial.block <= through]

    def hosts(self) -> tuple[tuple[dict[str, Fact], int], ...]:
        """Return each host that trials ran on, with the number of trials, most first."""
        launched = [t.outcome.launched for cell in self.cells for t in self.trials(cell.name)]
        counts = Counter(tuple(each.host.items()) for each in launched if each is not None)
        return tuple((dict(items), count) for items, count in counts.most_common())

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that ran, as the processes told; several where they differ."""
        told: dict[str, dict[str, None]] = {}
        for cell in self.cells:
            for trial in (*self.cold(cell.name), *self.trials(cell.name)):
                for name, version in trial.outcome.versions.items():
                    told.setdefault(name, {})[version] = None
        return {name: " / ".join(found) for name, found in sorted(told.items())}

    def entries(
        self, policy: Policy, dropped: Mapping[str, Drop] | None = None, through: int | None = None
    ) -> list[Entry]:
        """Return the scorer's entries of all cells, by their first `through` blocks (all when None).

        Cost depends on the policy's latency limit. `dropped` is why cells left the race.
        """
        reference, first = self._reference(), self.record.suite.traffic[0].name
        found = []
        for cell in self.cells:
            prepared = self.prepared.cells.get(cell.name, PreparedCell(status="skipped", why="never prepared"))
            data = QualityData(self._split("labels"), self._split("weights"), *self._outputs(cell, reference))
            trials, cold = self._evidence(cell.name, through)
            starts, users = self.starts(cell.name), self._users(cell, trials)
            evidence = CellEvidence(trials, cold, data, self.record.suite.scenario, starts, users)
            found.append(entry(cell, prepared, evidence, policy, first, (dropped or {}).get(cell.name)))
        return found

    def fleet(self, cell: Cell, trials: Sequence[TrialMetrics]) -> Fleet | None:
        """Serve the suite's users by a cell's fleet, once for the same evidence; None where that is not possible."""
        users, starts = users_of(self.record.suite), self.starts(cell.name)
        if users is None or not trials or self.failed(cell.name, trials[-1].block + 1):
            return None
        known = (len(starts), *(trial.block for trial in trials if cell.target.lifecycle is None))
        if self._fleets.get(cell.name, ((), None))[0] != known:
            self._fleets[cell.name] = known, fleet_of(cell, users, trials, starts, self.record.seed)
        return self._fleets[cell.name][1]

    def _users(self, cell: Cell, trials: Sequence[TrialMetrics]) -> dict[str, Measure]:
        """Return the metrics of the users of a cell's fleet, by the key that they have in a policy."""
        found, users = self.fleet(cell, trials), users_of(self.record.suite)
        if found is None or users is None:
            return {}
        return {f"{users.name}.{key}": measure for key, measure in found.scenario.items()} | found.cell

    def notes(self) -> tuple[Diagnostic, ...]:
        """Return what a reader must know: damaged evidence, and what the trials themselves noted."""
        damaged = [f"{text}; not used, `harness run --resume` measures it again" for text in self._damaged.values()]
        damaged += [f"{text}; quality is judged without it" for text in self._lost.values()]
        found = [diagnostic("evidence_damaged", text) for text in damaged]
        said: dict[str, tuple[Diagnostic, list[str]]] = {}
        for cell in self.cells:
            for trial in (*self.cold(cell.name), *self.trials(cell.name))[:1]:
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
        """Open what a cell predicted: the first cold trial's, else (runs before there were any) a trial's."""
        for trial in (*self.cold(cell), *self.trials(cell)):
            path = trial.folder / PREDICTIONS
            if trial.outcome.status == "ok" and PREDICTIONS in trial.outcome.files:
                try:
                    return read_array(path)
                except EvidenceError as error:
                    self._lost[path] = str(error)
        return None

    def _outputs(self, cell: Cell, reference: Array | None) -> tuple[Array | None, Array | None, Array | None]:
        """Return what a cell predicted, the reference's outputs, and those of the cell's candidate in fp32."""
        own, full = self._predictions(cell.name), in_fp32(cell, self.cells, self.prepared.cells)
        found = (own if name == cell.name else self._predictions(name) for name in full)
        return own, reference, next((each for each in found if each is not None), None)

    def _reference(self) -> Array | None:
        """Return the outputs of the suite's reference on the first target where it ran."""
        named = [cell.name for cell in self.cells if cell.candidate.name == self.record.suite.reference]
        return next((found for name in named if (found := self._predictions(name)) is not None), None)


def open_run(folder: Path) -> RunReader:
    """Read a run folder's evidence. Raises EvidenceError if its records are damaged."""
    reader = RunReader(folder, read_run(folder), read_prepared(folder))
    reader.refresh()
    return reader
