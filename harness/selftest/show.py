"""The proof for people: a table, a row per truth."""

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from harness.selftest.records import Finding


def proof_table(proved: Sequence[Finding]) -> Table:
    """Return what was found, a row per truth."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("test", "truth", "found", "wanted", "verdict"):
        table.add_column(column)
    for finding in proved:
        texts = (finding.test, finding.truth, finding.found, finding.wanted)
        verdict = "[green]passed[/green]" if finding.passed else "[red]failed[/red]"
        verdict = verdict if finding.available else "[yellow]unavailable[/yellow]"
        table.add_row(*map(escape, texts), verdict)
    return table
