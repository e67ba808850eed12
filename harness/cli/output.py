"""What commands share: their common options, the console, and how a ranked run is printed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from harness.analyse.reader import RunReader
    from harness.pipeline.conclude import RankedRun

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where runs are kept.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, part of its name, or 'latest'.")]
Dims = Annotated[
    list[str] | None,
    typer.Option("--dim", metavar="NAME=SIZE", help="Size of a model's dimension; repeatable."),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="NAME=SHAPE:DTYPE", help="An input: images=1x3x320x320:float32; repeatable."),
]
Targets = Annotated[
    list[str] | None, typer.Option("--target", metavar="TARGET", help="Run on this target; repeatable.")
]
Budget = Annotated[str | None, typer.Option("--budget", metavar="90s", help="How long to measure: 90s, 2m, 1h.")]
Seed = Annotated[
    int,
    typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Decides everything that is drawn at random."),
]
Force = Annotated[bool, typer.Option("--force", help="Compare although hosts, limits or suites differ.")]
Summary = Annotated[Path | None, typer.Option("--summary", metavar="FILE", help="Also write the Markdown here.")]
RESULTS = Path("results")
INTERRUPTED = 130
FAILED_CELLS, REGRESSION, NOTHING_ELIGIBLE, UNVERIFIED = 5, 4, 3, 6


def console() -> Console:
    """Return the console for standard output; 160 columns where it is not a terminal."""
    from harness.cli.screen import screen

    return screen()


def silence() -> None:
    """Let standard output lead nowhere, so that what is left in its buffer troubles nobody."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def shown(path: Path) -> str:
    """Return a path as it is best printed: relative to the working directory where it is below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def typed(folder: Path) -> str:
    """Return a run as it is named on the command line: by its folder's name where that is enough."""
    return folder.name if folder.parent == RESULTS.absolute() else shown(folder)


def say(to: Console, text: str) -> None:
    """Print plain text."""
    to.print(text, markup=False, soft_wrap=True)


def print_ranked(to: Console, ranked: RankedRun) -> None:
    """Print the table of a ranked run and where its report is."""
    from harness.report.commands import notes_with_command
    from harness.report.table import ranked_table

    suite = ranked.record.suite
    ranking = notes_with_command(ranked.ranking, typed(ranked.folder), suite.budget.seconds)
    to.print(ranked_table(ranking, ranked.policy, f"{suite.name}: {suite.description}", to.width))
    name = typed(ranked.folder)
    say(to, f"report: {shown(ranked.folder / 'report.md')}; as a page with plots: harness report {name}")


def write_reports(ranked: RankedRun, reader: RunReader | None = None) -> Path:
    """Write a run's report.md and report.html; returns the page. `reader` has its evidence, where that was read."""
    from harness.analyse.reader import open_run
    from harness.report.markdown import write_report
    from harness.report.page.page import write_page

    reader = reader or open_run(ranked.folder)
    write_report(ranked, reader)
    return write_page(ranked, reader)


def finish(to: Console, ranked: RankedRun, strict: bool = False) -> None:
    """Write the report, print the table, and exit with the code that says how it went.

    A page that is there is written anew, so that it never shows an older ranking.
    """
    from harness.report.markdown import write_report

    if (ranked.folder / "report.html").exists():
        write_reports(ranked)
    else:
        write_report(ranked)
    print_ranked(to, ranked)
    rows = ranked.ranking.rows
    if strict and any(row.status == "failed" for row in rows):
        raise typer.Exit(FAILED_CELLS)
    if all(row.place is None for row in rows):
        raise typer.Exit(NOTHING_ELIGIBLE)
