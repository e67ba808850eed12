"""Rows in a lower precision beside the same candidate in fp32: which row that is, and what quality differs."""

from collections.abc import Mapping, Sequence

import msgspec

from harness.evaluate.rowwise import difference, metrics
from harness.evidence.run import Cell, PreparedCell
from harness.score.records import Entry
from harness.score.words import name_of, number, short_name
from harness.spec.diagnostics import Diagnostic, diagnostic

FULL = "fp32"


def precision_of(cell: Cell, prepared: Mapping[str, PreparedCell]) -> str | None:
    """Return the precision that a cell runs in; None where it does not run."""
    made = prepared.get(cell.name)
    return made.variant.precision if made is not None and made.status == "ok" and made.variant is not None else None


def in_fp32(cell: Cell, cells: Sequence[Cell], prepared: Mapping[str, PreparedCell]) -> list[str]:
    """Name the cells that run a cell's candidate in fp32, those on its own runtime first.

    Empty where no cell of the candidate has a lower precision: there is nothing to compare. A cell in fp32 is compared
    with itself.
    """
    own = [each for each in cells if each.candidate.name == cell.candidate.name]
    full = [each for each in own if precision_of(each, prepared) == FULL]
    if all(precision_of(each, prepared) in (FULL, None) for each in own):
        return []
    if cell in full:
        return [cell.name]
    return [each.name for each in sorted(full, key=lambda each: each.target.runtime != cell.target.runtime)]


def against_fp32(entries: Sequence[Entry], cells: Sequence[Cell], prepared: Mapping[str, PreparedCell]) -> list[Entry]:
    """Return the entries, each in a lower precision with its difference in quality to the candidate's row in fp32."""
    judged, by_name = {name_of(entry): entry for entry in entries if entry.rows}, {cell.name: cell for cell in cells}
    found = []
    for entry in entries:
        cell = by_name[name_of(entry)]
        full = next((judged[name] for name in in_fp32(cell, cells, prepared) if name in judged), entry)
        said = [] if full is entry else [_against(entry, full, key) for key in _shared(entry, full, cell)]
        found.append(msgspec.structs.replace(entry, diagnostics=(*entry.diagnostics, *said)))
    return found


def _shared(entry: Entry, full: Entry, cell: Cell) -> list[str]:
    """Name the metrics that score the rows of both against labels."""
    quality = [key for key, metric in metrics(cell.candidate.task).items() if metric.against == "labels"]
    return [key for key in quality if key in entry.rows and key in full.rows]


def _against(entry: Entry, full: Entry, key: str) -> Diagnostic:
    """Say how far a row's metric is from that of the row in fp32, with the interval over pairs of dataset rows."""
    own, other = entry.rows[key], full.rows[key]
    value, low, high, rows = difference(own.values, other.values, own.weights, own.transform)
    ends, word = ((low, high), "above") if value > 0 else ((-high, -low), "below")
    said = f"{number(abs(value))} {word}" if value else "equal to"
    text = f"{short_name(key)} {said} {FULL} [{number(ends[0])}, {number(ends[1])}]"
    text += f", paired over {rows:,} rows with {name_of(full)}"
    return diagnostic(
        "against_fp32",
        text,
        name_of(entry),
        metric=key,
        difference=value,
        low=low,
        high=high,
        rows=rows,
        row=name_of(full),
    )
