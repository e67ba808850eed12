"""`harness history`: how rows did over all runs, and where their level shifted."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.output import RESULTS, Out, console, say, shown


def history(
    suite: Annotated[str | None, typer.Argument(metavar="[SUITE]", help="Only runs of this suite.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", metavar="METRIC", help="Show this metric; repeatable.")
    ] = None,
    row: Annotated[str, typer.Option("--row", metavar="TEXT", help="Only rows whose name has this in it.")] = "",
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE.svg", help="Also draw them into a file.")] = None,
    out: Out = RESULTS,
) -> None:
    """Show trends over all runs, and where levels shifted."""
    from harness.analyse.history import history as read_history
    from harness.cli.compare import known_metrics
    from harness.errors import SpecError
    from harness.report.trends import history_table, write_plot

    found = read_history(out, suite, known_metrics(metric or ()), row)
    if not found.series:
        narrow = "leave out --row and --metric" if row or metric else "measure more: harness run SUITE"
        raise SpecError("harness history", f"no values in {len(found.runs)} runs", narrow)
    to = console()
    to.print(history_table(found))
    if plot is not None:
        write_plot(plot, found)
        say(to, f"plot: {shown(plot.absolute())}")
