"""What the sections of the page are made from: the ranked run, its evidence, and which rows have a colour."""

from collections.abc import Mapping
from typing import NamedTuple

from harness.analyse.reader import RunReader
from harness.pipeline.conclude import RankedRun
from harness.report.commands import with_commands
from harness.report.markup import Html
from harness.report.plots.style import PALETTE, Line
from harness.score.records import Ranking, Row
from harness.score.words import name_of


class Section(NamedTuple):
    """A part of the page, with a title in its table of contents."""

    id: str
    title: str
    body: Html


class Material(NamedTuple):
    """A ranked run with its evidence. Rows are numbered in the order of the ranking."""

    ranked: RankedRun
    reader: RunReader
    ranking: Ranking
    lines: tuple[Line, ...]

    @property
    def names(self) -> dict[int, str]:
        """The rows' names by number."""
        return {line.row: line.name for line in self.lines}

    @property
    def coloured(self) -> tuple[Line, ...]:
        """The rows that plots of few rows show."""
        return tuple(line for line in self.lines if line.colour is not None)

    def row(self, line: Line) -> Row:
        """Return the row that a line stands for."""
        return self.ranking.rows[line.row]


def gathered(ranked: RankedRun, reader: RunReader) -> Material:
    """Put a ranked run and its evidence together."""
    ranking = with_commands(ranked.ranking, ranked.folder.name, ranked.record.suite.budget.seconds)
    return Material(ranked, reader, ranking, lines_of(ranking))


def lines_of(ranking: Ranking) -> tuple[Line, ...]:
    """Return how each row is drawn: the first that have a place get the colours, in their order."""
    placed = [number for number, row in enumerate(ranking.rows) if row.place is not None][: len(PALETTE)]
    colours: Mapping[int, int] = {number: colour for colour, number in enumerate(placed)}
    return tuple(Line(number, name_of(row), colours.get(number)) for number, row in enumerate(ranking.rows))
