"""`harness show`: the table again, by rank or by footprint, or one row in words."""

from enum import StrEnum
from typing import Annotated

import typer

from harness.cli.output import RESULTS, Out, RunName, console, print_ranked, say, typed


class View(StrEnum):
    """How the table is ordered, and what it shows."""

    ranking = "ranking"
    footprint = "footprint"


def show(
    run: RunName = "latest",
    row: Annotated[
        str | None, typer.Argument(metavar="ROW", help="candidate@target, a part of it, or its place in the table.")
    ] = None,
    view: Annotated[View, typer.Option(help="footprint: by memory, with size and load time.")] = View.ranking,
    out: Out = RESULTS,
) -> None:
    """Show a run, or why ROW stands where it does."""
    from harness.analyse.waterfall import waterfall
    from harness.evidence.run import find
    from harness.pipeline.conclude import load_ranked
    from harness.report.commands import with_commands
    from harness.report.footprint import footprint_table
    from harness.report.show import find_row
    from harness.report.waterfall import LEGEND, waterfall_lines
    from harness.score.explain import explain

    ranked = load_ranked(find(run, out))
    to = console()
    if row is None and view is View.footprint:
        to.print(footprint_table(ranked.ranking, f"{ranked.record.suite.name}: by memory"))
        return
    if row is None:
        print_ranked(to, ranked)
        return
    ranking = with_commands(ranked.ranking, typed(ranked.folder), ranked.record.suite.budget.seconds)
    found = find_row(ranking, row)
    for line in explain(ranking, ranked.policy, found):
        say(to, line)
    lives = {target.name: target.lifecycle for target in ranked.record.targets}
    lines = waterfall_lines(waterfall(found.metrics, lives.get(found.target)), to.width)
    for line in ["cold start:", *lines, f"({LEGEND})"] if lines else []:
        to.print(line, markup=False, highlight=False, no_wrap=True, overflow="ignore", crop=False)
