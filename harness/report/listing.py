"""Lists for a terminal: targets, suites, findings of `harness doctor`."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from rich import box
from rich.markup import escape
from rich.table import Table

from harness.errors import SpecError
from harness.spec.find import known, load_suite, load_target
from harness.spec.outcome import Outcome
from harness.spec.target import HourlyPrice, Target

Grade = Literal["good", "note", "bad", "unavailable"]
_STYLES: dict[Grade, str] = {"good": "green", "note": "yellow", "bad": "red", "unavailable": "bright_black"}


class Finding(NamedTuple):
    """One thing examined: its name, what was found, and how good that is for measuring."""

    name: str
    found: str
    grade: Grade


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column)
    return table


def targets_table(probes: dict[str, Outcome | SpecError]) -> Table:
    """Return the targets, each with the result of its probe."""
    table = _table("target", "runs here", "runtime", "USD/h", "description")
    for name, path in sorted(known("targets").items()):
        try:
            target = load_target(str(path.absolute()))
        except SpecError as error:
            table.add_row(name, "[red]invalid[/red]", "", "", escape(str(error)))
            continue
        price = f"{target.price.usd_per_hour:g}" if isinstance(target.price, HourlyPrice) else _by_use(target)
        table.add_row(name, _runs(probes[name]), target.runtime, price, escape(target.description))
    return table


def _by_use(target: Target) -> str:
    return "–" if target.price is None else "by use"


def _runs(probe: Outcome | SpecError) -> str:
    if isinstance(probe, SpecError):
        return f"[red]invalid: {escape(probe.what)}[/red]"
    if probe.status == "ok":
        versions = ", ".join(f"{name} {version}" for name, version in probe.versions.items() if name != "numpy")
        return f"[green]yes[/green] {escape(versions)}"
    return f"[yellow]no: {escape(probe.message)}[/yellow]"


def suites_table() -> Table:
    """Return the suites with their size and budget; an invalid one with its error."""
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
    for name, found, grade in findings:
        table.add_row(name, escape(found), f"[{_STYLES[grade]}]{grade}[/]")
    return table
