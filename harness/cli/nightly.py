"""`harness nightly`: measure a suite, compare it with its stored baseline, and confirm what is suspect."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.output import FAILED_CELLS, RESULTS, Out, console


def nightly(
    suite: Annotated[str, typer.Argument(metavar="[SUITE]", help="A suite with a stored baseline.")] = "nightly",
    target: Annotated[list[str] | None, typer.Option("--target", help="Run on this target; repeatable.")] = None,
    budget: Annotated[str | None, typer.Option("--budget", help="How long to measure: 20m.")] = None,
    again: Annotated[
        str | None,
        typer.Option("--again", help="Most time for suspects; default: four times the budget."),
    ] = None,
    baseline_python: Annotated[
        str | None, typer.Option("--baseline-python", help="Interpreter with the base's harness; default: as stored.")
    ] = None,
    alpha: Annotated[
        str, typer.Option("--alpha", metavar="1%", help="Probability of a night with any false alarm.")
    ] = "1%",
    seed: Annotated[int, typer.Option("--seed", help="Decides the order of trials and synthetic inputs.")] = 0,
    summary: Annotated[Path | None, typer.Option("--summary", help="Also write the Markdown here.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Compare although hosts, limits or suites differ.")] = False,
    out: Out = RESULTS,
) -> None:
    """Measure a suite and compare it with its baseline.

    What is suspect is measured again, side by side with the base. Exits with 4 on a confirmed regression or a row that
    fails now; with 5 where a row failed in the baseline, too.
    """
    from harness.cli.compare import compared, finish_comparison, fraction
    from harness.cli.run import measured
    from harness.evidence.baseline import NAME, read_baseline
    from harness.pipeline.again import Terms
    from harness.pipeline.compare import Asked
    from harness.pipeline.request import Request, open_new, seconds
    from harness.report.markdown import write_report
    from harness.report.verdicts import write_comparison
    from harness.spec.find import load_suite

    read_baseline(out, load_suite(suite)[0].name)  # before anything is measured
    budget_s = seconds(budget) if budget else None
    again_s = seconds(again, "--again") if again else 0.0
    asked = Asked(alpha=fraction("--alpha", alpha))
    folder, record = open_new(Request([suite], target or [], out, budget_s, seed, exhaustive=True))
    to = console()
    ranked = measured(to, folder, record, new=True)
    write_report(ranked)
    found = compared(to, folder, [NAME], asked, Terms(again_s, baseline_python), False, force, out)
    write_comparison(folder, found)
    finish_comparison(to, folder, found, summary, fail=True)
    if any(row.status == "failed" for row in ranked.ranking.rows):
        raise typer.Exit(FAILED_CELLS)
