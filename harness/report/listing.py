"""Lists for a terminal: targets, suites, the doctor's findings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich import box
from rich.markup import escape
from rich.table import Table

from harness.doctor import Finding
from harness.errors import SpecError
from harness.spec.find import known, load_suite, load_target
from harness.spec.target import Target
from harness.spec.wire import Outcome

_STYLES = {"good": "green", "note": "yellow", "bad": "red", "unavailable": "bright_black"}


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column)
    return table


def targets_table(probes: dict[str, Outcome | SpecError]) -> Table:
    """Return the targets with what a probe of each found."""
    table = _table("target", "runs here", "runtime", "USD/h", "description")
    for name, path in sorted(known("targets").items()):
        probe = probes[name]
        target = _target(path)
        if target is None:
            table.add_row(name, "[red]wrong[/red]", "", "", escape(str(probe)))
            continue
        price = f"{target.price.usd_per_hour:g}" if target.price else "–"
        table.add_row(name, _runs(probe), target.runtime, price, escape(target.description))
    return table


def _target(path: Path) -> Target | None:
    try:
        return load_target(str(path.absolute()))
    except SpecError:
        return None


def _runs(probe: Outcome | SpecError) -> str:
    if isinstance(probe, SpecError):
        return f"[red]wrong: {escape(probe.what)}[/red]"
    if probe.status == "ok":
        versions = ", ".join(f"{name} {version}" for name, version in probe.versions.items() if name != "numpy")
        return f"[green]yes[/green] {escape(versions)}"
    return f"[yellow]no: {escape(probe.message)}[/yellow]"


def suites_table() -> Table:
    """Return the suites with their size and budget; a wrong one with its error."""
    table = _table("suite", "candidates", "targets", "budget", "description")
    for name, path in sorted(known("suites").items()):
        try:
            suite, _ = load_suite(str(path.absolute()))
        except SpecError as error:
            table.add_row(name, "", "", "", f"[red]{escape(str(error))}[/red]")
            continue
        size = str(len(suite.candidate))
        table.add_row(name, size, ", ".join(suite.targets), f"{suite.budget.seconds:g} s", escape(suite.description))
    return table


def doctor_table(findings: Iterable[Finding]) -> Table:
    """Return the doctor's findings."""
    table = _table("", "found", "for measuring")
    for finding in findings:
        style = _STYLES[finding.verdict]
        table.add_row(finding.name, escape(finding.found), f"[{style}]{finding.verdict}[/{style}]")
    return table
