"""`harness baseline`: keep runs as what later ones are compared with."""

from typing import Annotated

import typer

from harness.cli.output import RESULTS, Out, console, say, shown


def baseline(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="RUN…", help="Runs of one suite; none: show what is kept.")
    ] = None,
    python: Annotated[
        str | None,
        typer.Option("--python", metavar="PYTHON", help="Interpreter that keeps this harness, to be measured beside."),
    ] = None,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why the baseline is set anew; kept with it.")] = "",
    out: Out = RESULTS,
) -> None:
    """Keep runs of a suite as its baseline.

    They take the place of the one before. Three at least tell how runs differ.
    """
    from harness.evidence.baseline import folder_of, set_baseline
    from harness.evidence.run import find

    to = console()
    if not runs:
        _show(out)
        return
    made = set_baseline(out, [find(run, out) for run in runs], python, why)
    say(to, f"baseline of {made.suite}: {len(made.runs)} runs in {shown(folder_of(out, made.suite))}")


def _show(out: Out) -> None:
    """List the baselines that are kept."""
    from harness.evidence.baseline import NAME, read_baseline

    to = console()
    suites = sorted(path.parent.name for path in (out.absolute() / NAME).glob("*/baseline.json"))
    if not suites:
        say(to, f"no baseline in {shown(out.absolute())}; keep one with: harness baseline RUN RUN RUN")
    for suite in suites:
        found = read_baseline(out, suite)
        why = f"; {found.why}" if found.why else ""
        beside = f"; interpreter {found.python}" if found.python else ""
        say(to, f"{suite}: {', '.join(found.runs)}, set {found.created}{beside}{why}")
