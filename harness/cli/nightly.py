"""`harness nightly`: measure a suite, compare it with its stored baseline, and confirm what is suspect."""

from typing import Annotated

import typer

from harness.cli.output import FAILED_CELLS, RESULTS, Budget, Force, Out, Seed, Summary, Targets, console


def nightly(
    suite: Annotated[str, typer.Argument(metavar="[SUITE]", help="A suite with a stored baseline.")] = "nightly",
    target: Targets = None,
    budget: Budget = None,
    again: Annotated[
        str | None,
        typer.Option("--again", metavar="80m", help="Most time for suspects; default: four times the budget."),
    ] = None,
    baseline_python: Annotated[
        str | None,
        typer.Option(
            "--baseline-python", metavar="PYTHON", help="Interpreter with the base's harness; default: as stored."
        ),
    ] = None,
    alpha: Annotated[
        str, typer.Option("--alpha", metavar="1%", help="Probability of a night with any false alarm.")
    ] = "1%",
    seed: Seed = 0,
    summary: Summary = None,
    force: Force = False,
    out: Out = RESULTS,
) -> None:
    """Measure a suite and compare it with its baseline.

    What is suspect is measured again, side by side with the base. Exits with 4 on a confirmed regression or a row that
    fails now; with 5 where a row failed in the baseline, too.
    """
    from harness.cli.compare import compared, error_rate, finish_comparison
    from harness.cli.run import measured
    from harness.evidence.baseline import NAME, read_baseline
    from harness.pipeline.again import Terms
    from harness.pipeline.compare import Asked
    from harness.pipeline.request import Request, open_new, seconds
    from harness.report.markdown import write_report
    from harness.report.verdicts import write_comparison
    from harness.spec.find import load_suite

    budget_s = seconds(budget) if budget else None
    again_s = seconds(again, "--again") if again else 0.0
    asked = Asked(alpha=error_rate(alpha))
    read_baseline(out, load_suite(suite)[0].name)  # before anything is measured
    folder, record = open_new(Request([suite], target or [], out, budget_s, seed, exhaustive=True))
    to = console()
    ranked = measured(to, folder, record, new=True)
    write_report(ranked)
    found = compared(to, folder, [NAME], asked, Terms(again_s, baseline_python), False, force, out)
    write_comparison(folder, found)
    finish_comparison(to, folder, found, summary, fail=True)
    if any(row.status == "failed" for row in ranked.ranking.rows):
        raise typer.Exit(FAILED_CELLS)
