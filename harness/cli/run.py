"""`harness run`: measure and rank."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.output import (
    INTERRUPTED,
    RESULTS,
    Budget,
    Dims,
    Inputs,
    Out,
    Seed,
    Targets,
    console,
    finish,
    say,
    shown,
)
from harness.errors import BusyError, SpecError

if TYPE_CHECKING:
    from rich.console import Console

    from harness.evidence.run import RunRecord
    from harness.pipeline.conclude import RankedRun


def run(
    what: Annotated[list[str] | None, typer.Argument(metavar="SUITE | MODEL…", help="A suite, or model files.")] = None,
    target: Targets = None,
    dim: Dims = None,
    input_: Inputs = None,
    inputs: Annotated[
        Path | None, typer.Option("--inputs", metavar="FILE.npz", help="Rows to feed: an array for each input.")
    ] = None,
    out: Out = RESULTS,
    budget: Budget = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", help="Complete a stopped run, or extend one by --budget.")
    ] = None,
    seed: Seed = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Shorter windows, three blocks, a minute at most.")] = False,
    exhaustive: Annotated[bool, typer.Option("--exhaustive", help="Drop no row before the end.")] = False,
    controls: Annotated[
        bool, typer.Option("--controls", help="Also measure a twin of the leader, and it with 5 % more work.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 5 when some cell failed.")] = False,
) -> None:
    """Measure and rank a suite, or bare model files.

    Every candidate runs on every target; evidence is kept in --out. Bare models get inputs that are read off them; what
    was chosen is shown, and --dim, --input and --inputs say it outright.
    """
    from harness.evidence.run import find, read_run
    from harness.pipeline.request import Request, extended, open_new, seconds

    budget_s = seconds(budget) if budget else None
    if resume is not None:
        if what or target or quick or exhaustive or controls or dim or input_ or inputs or seed:
            raise SpecError("--resume", "a resumed run is completed as it was begun", "give --resume and --budget only")
        folder = find(resume, out)
        record = read_run(folder) if budget_s is None else extended(folder, read_run(folder), budget_s)
    else:
        asked = Request(what or [], target or [], out, budget_s, seed, quick, exhaustive, controls)
        folder, record = open_new(asked._replace(dims=dim or (), inputs=input_ or (), rows=inputs))
    to = console()
    finish(to, measured(to, folder, record, new=resume is None), strict)


def measured(to: Console, folder: Path, record: RunRecord, new: bool) -> RankedRun:
    """Run the pipeline under a progress display; an interruption says how to go on."""
    from harness.pipeline.prepare import worth_keeping
    from harness.pipeline.run import run as run_pipeline
    from harness.report.progress import observer

    say(to, f"run {shown(folder)}")
    try:
        with observer(to) as watching:
            return run_pipeline(folder, record, watching)
    except (BusyError, SpecError):
        if new and not worth_keeping(folder, record):
            shutil.rmtree(folder, ignore_errors=True)  # `latest` must not mean it
        raise
    except KeyboardInterrupt:
        say(to, f"stopped; finished trials are kept. Go on with: harness run --resume {shown(folder)}")
        raise typer.Exit(INTERRUPTED) from None
