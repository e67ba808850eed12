"""`harness run`: measure and rank."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.output import INTERRUPTED, RESULTS, Out, console, finish, say, shown
from harness.errors import BusyError, SpecError

if TYPE_CHECKING:
    from rich.console import Console

    from harness.evidence.run import RunRecord
    from harness.pipeline.conclude import RankedRun


def run(
    what: Annotated[list[str] | None, typer.Argument(metavar="SUITE | MODEL…", help="A suite, or model files.")] = None,
    target: Annotated[list[str] | None, typer.Option("--target", help="Run on this target; repeatable.")] = None,
    out: Out = RESULTS,
    budget: Annotated[str | None, typer.Option("--budget", help="How long to measure: 90s, 2m.")] = None,
    resume: Annotated[str | None, typer.Option("--resume", metavar="RUN", help="Complete a stopped run.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides the order of trials and synthetic inputs.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Shorter windows, three blocks, a minute at most.")] = False,
    exhaustive: Annotated[bool, typer.Option("--exhaustive", help="Drop no row before the end.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 5 when some cell failed.")] = False,
) -> None:
    """Measure and rank a suite, or bare model files.

    Every candidate runs on every target, each trial in a fresh process; evidence is kept in --out.
    """
    from harness.evidence.run import find, read_run
    from harness.pipeline.request import Request, open_new, seconds

    if resume is not None:
        if what or target or budget or quick or exhaustive:
            raise SpecError("--resume", "a resumed run is completed as it was begun", "give --resume alone")
        folder = find(resume, out)
        record = read_run(folder)
    else:
        request = Request(what or [], target or [], out, seconds(budget) if budget else None, seed, quick, exhaustive)
        folder, record = open_new(request)
    to = console()
    finish(to, _measure(to, folder, record, new=resume is None), strict)


def _measure(to: Console, folder: Path, record: RunRecord, new: bool) -> RankedRun:
    """Run the pipeline under a progress display; an interruption says how to go on."""
    from harness.pipeline.run import run as run_pipeline
    from harness.report.progress import observer

    say(to, f"run {shown(folder)}")
    try:
        with observer(to) as watching:
            return run_pipeline(folder, record, watching)
    except BusyError:
        if new:
            shutil.rmtree(folder, ignore_errors=True)  # nothing is in it yet, and `latest` must not mean it
        raise
    except KeyboardInterrupt:
        say(to, f"stopped; finished trials are kept. Go on with: harness run --resume {shown(folder)}")
        raise typer.Exit(INTERRUPTED) from None
