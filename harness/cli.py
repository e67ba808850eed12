"""The command line: commands, messages, exit codes. The only module that prints or exits."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import HarnessError

if TYPE_CHECKING:
    from rich.console import Console

    from harness.report.show import Ranked
    from harness.runs import RunRecord

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Which model should serve, on which hardware, at what cost, and how sure are we?",
)
Out = Annotated[Path, typer.Option("--out", help="Where runs are kept.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, part of its name, or 'latest'.")]
_RESULTS = Path("results")
_INTERRUPTED = 130


def _console(stderr: bool = False) -> Console:
    import os

    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
    return Console(stderr=stderr, width=width, highlight=False)


@app.command()
def run(
    what: Annotated[list[str] | None, typer.Argument(metavar="SUITE | MODEL…", help="A suite, or model files.")] = None,
    target: Annotated[list[str] | None, typer.Option("--target", help="Run on this target; repeatable.")] = None,
    out: Out = _RESULTS,
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
    from harness.errors import SpecError
    from harness.request import Request, open_new, seconds
    from harness.runs import find, read_run

    console = _console()
    if resume is not None:
        if what or target or budget or quick or exhaustive:
            raise SpecError("--resume", "a resumed run is completed as it was begun", "give --resume alone")
        folder = find(resume, out)
        record = read_run(folder)
    else:
        request = Request(what or [], target or [], out, seconds(budget) if budget else None, seed, quick, exhaustive)
        folder, record = open_new(request)
    _finish(console, _measure(console, folder, record, fresh=resume is None), strict)


def _measure(console: Console, folder: Path, record: RunRecord, fresh: bool) -> Ranked:
    """Run the pipeline under a progress display; a stop says how to go on."""
    import shutil

    from harness.errors import BusyError
    from harness.pipeline import run as run_pipeline
    from harness.report.progress import observer

    console.print(f"run {_shown(folder)}", markup=False, soft_wrap=True)
    try:
        with observer(console) as watching:
            return run_pipeline(folder, record, watching)
    except BusyError:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)  # nothing is in it yet, and `latest` should not mean it
        raise
    except KeyboardInterrupt:
        text = f"stopped; finished trials are kept. Go on with: harness run --resume {_shown(folder)}"
        console.print(text, markup=False, soft_wrap=True)
        raise typer.Exit(_INTERRUPTED) from None


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _finish(console: Console, ranked: Ranked, strict: bool = False) -> None:
    """Print the table and where it is kept; exit with the code that says how it went."""
    _print_table(console, ranked)
    rows = ranked.ranking.rows
    if strict and any(row.status == "failed" for row in rows):
        raise typer.Exit(5)
    if not any(row.eligible for row in rows):
        raise typer.Exit(3)


def _print_table(console: Console, ranked: Ranked) -> None:
    from harness.report.table import ranked_table

    record = ranked.record
    title = f"{record.suite.name}: {record.suite.description}"
    console.print(ranked_table(ranked.ranking, ranked.policy, title, console.width))
    console.print(f"report: {_shown(ranked.folder / 'report.md')}", markup=False, soft_wrap=True)


@app.command()
def rank(
    run: RunName = "latest",
    policy: Annotated[Path | None, typer.Option("--policy", help="A TOML file with another [policy].")] = None,
    out: Out = _RESULTS,
) -> None:
    """Decide again from a run's evidence.

    By its own policy or another; nothing is measured.
    """
    from harness.pipeline import conclude
    from harness.runs import find, read_run
    from harness.spec.find import load_policy

    folder = find(run, out)
    scenarios = [scenario.name for scenario in read_run(folder).suite.scenario]
    other = load_policy(policy, scenarios) if policy is not None else None
    _finish(_console(), conclude(folder, other))


@app.command()
def show(
    run: RunName = "latest",
    row: Annotated[
        str | None, typer.Argument(metavar="ROW", help="candidate@target, a part of it, or its rank.")
    ] = None,
    out: Out = _RESULTS,
) -> None:
    """Show a run, or why ROW stands where it does."""
    from harness.report.show import load_ranked, row_in_words
    from harness.runs import find

    ranked = load_ranked(find(run, out))
    console = _console()
    if row is None:
        _print_table(console, ranked)
        return
    for line in row_in_words(ranked, row):
        console.print(line, markup=False, soft_wrap=True)


@app.command()
def targets() -> None:
    """List the targets, and whether they run here."""
    from harness.prepare import probe_all
    from harness.report.listing import targets_table

    _console().print(targets_table(probe_all()))


@app.command()
def suites() -> None:
    """List the suites."""
    from harness.report.listing import suites_table

    _console().print(suites_table())


@app.command()
def doctor() -> None:
    """Examine this machine as an instrument.

    Clock, noise, limits: what can be trusted here, what is enforced and what is not.
    """
    from harness.doctor import examine
    from harness.report.listing import doctor_table

    _console().print(doctor_table(examine()))


@app.command()
def selftest(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer repetitions: under a minute.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Decides every random number of the proof.")] = 0,
) -> None:
    """Prove the instrument honest.

    Truths known by construction, measured by the real pipeline. Exits with 1 where one is missed.
    """
    from harness.selftest.prove import prove
    from harness.selftest.show import proof_table, watcher

    console = _console()
    with watcher(console) as watching:
        proved = prove(seed, quick, watching)
    console.print(proof_table(proved))
    if not all(finding.passed for finding, _ in proved):
        raise typer.Exit(1)


@app.command()
def init(
    model: Annotated[Path, typer.Argument(help="A model file.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The suite file to write; beside the model if not given.")
    ] = None,
) -> None:
    """Write a suite for your own model.

    Its inputs are read off the model; comments say what to change.
    """
    from harness.init import write_suite

    path = write_suite(model, out)
    console = _console()
    console.print(f"wrote {_shown(path.absolute())}", markup=False, soft_wrap=True)
    console.print(f"run it with: harness run {_shown(path.absolute())}", markup=False, soft_wrap=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; every error a user can mend is one message and an exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except HarnessError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
