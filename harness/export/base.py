"""What an exporter must offer. Implement this and register it in `harness.exporters` to add one."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from harness.analyse.frames import scenario_and_key
from harness.analyse.reader import RunReader, open_run
from harness.errors import SpecError
from harness.pipeline.conclude import RankedRun, load_ranked
from harness.score.records import Measure, Row
from harness.spec import plugins
from harness.spec.metrics import nearest

FOLDER = "export"
"""Where exports are written within a run folder, unless another place is named."""


class Source(NamedTuple):
    """A run to export: what it was ranked as, and the reader of its evidence."""

    ranked: RankedRun
    reader: RunReader

    @property
    def suite(self) -> str:
        """The suite's name."""
        return self.ranked.record.suite.name

    def version(self, row: Row) -> str:
        """Return the version of a row's candidate, as its suite says; empty where it does not."""
        return next(each.version for each in self.ranked.record.suite.candidate if each.name == row.candidate)

    def measures(self, row: Row) -> Iterator[tuple[str | None, str, Measure]]:
        """Yield (scenario, metric key, measure) of a row; the scenario is None for a metric of the whole cell."""
        first = self.ranked.record.suite.scenario[0].name
        for key, measure in row.metrics.items():
            yield *scenario_and_key(key, first), measure


class Exporter(Protocol):
    """Writes a run in one format. `name` is the file or folder that it writes, unless another place is named."""

    name: str

    def export(self, source: Source, out: str) -> str:
        """Write to `out`, a path or what the format takes for a place; returns what was written, as a phrase.

        Raises SpecError if `out` is no such place, EvidenceError if it cannot be written.
        """


def open_source(folder: Path) -> Source:
    """Open a ranked run. Raises EvidenceError if it has no ranking that can be read."""
    return Source(load_ranked(folder), open_run(folder))


def exporter(name: str) -> Exporter:
    """Load an exporter by name. Raises SpecError if there is none, or it lacks a package."""
    known = plugins.names("exporters")
    if name not in known:
        raise SpecError("harness export", f"no format '{name}'", f"{nearest(name, known)}; all: {', '.join(known)}")
    try:
        found: Exporter = plugins.load("exporters", name)
    except ImportError as error:
        raise SpecError(f"format '{name}'", f"cannot be loaded: {error}") from error
    return found


def missing(name: str, error: ImportError) -> SpecError:
    """Return the error of a format whose package is not installed: which, and what brings it."""
    extra = plugins.extra("exporters", name, error.name or "") or "harness-bench[export]"
    return SpecError(f"format '{name}'", f"the package {error.name} is missing", f"install {extra}")
