"""What was not measured, what to read with care, and what the host did."""

from collections.abc import Sequence

from harness.analyse.seconds import seconds_by_purpose
from harness.report.markup import Html, el, joined
from harness.report.page.material import Material, Section
from harness.report.page.parts import bullets, table
from harness.report.sections import purposes
from harness.score.words import name_of, text_of
from harness.spec.diagnostics import Diagnostic

_HOST = ("host_noise",)
_MISSING = {"failed": "failed", "skipped": "skipped", "dropped": "left the race", "undecided": "undecided"}


def remarks_section(of: Material) -> Section:
    """Return rows without a full result, warnings, controls, noise, notes, and how the time was spent."""
    rows, notes = of.ranking.rows, of.ranking.notes
    missing = ([name_of(row), _MISSING[row.status], _first(row.reasons)] for row in rows if row.status in _MISSING)
    warnings = [f"{name_of(row)}: {each.message}" for row in rows for each in row.warnings]
    warnings += [note.message for note in notes if note.severity == "warning" and note.code != "winner_flagged"]
    controls = [note.message for note in notes if note.code.startswith("control_")]
    noise = [note.message for note in notes if note.code in _HOST]
    rest = [
        n.message
        for n in notes
        if n.severity != "warning" and not n.code.startswith("control_") and n.code not in _HOST
    ]
    body = joined(
        _part("Not measured to the end", table(("row", "what", "why"), missing), "Every row was measured to the end."),
        _part("Warnings", bullets(warnings), "None."),
        _part("Controls", bullets(controls), "None were measured (harness run --controls)."),
        _part("Host", bullets(noise), "Nothing was recorded of the host."),
        _part("Notes", bullets(rest), "None."),
        _part("Time", bullets(purposes(seconds_by_purpose(of.reader))), "Not known."),
    )
    return Section("remarks", "Warnings and notes", body)


def _first(reasons: Sequence[Diagnostic]) -> str:
    return text_of(reasons[0]) if reasons else ""


def _part(title: str, body: Html, otherwise: str) -> Html:
    empty = not body or ("<td>" not in body and "<li>" not in body)
    return el("div", el("h3", title), el("p", otherwise, class_="note") if empty else body)
