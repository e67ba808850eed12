"""`harness tune`: one candidate as a function of several memory sizes, cost against the tail."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.output import RESULTS, Budget, Out, Seed, console, say, shown, typed
from harness.cli.run import measured


def tune(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="A suite: its dataset, its users, its policy.")],
    candidate: Annotated[str, typer.Option("--candidate", metavar="NAME", help="The candidate of the suite to tune.")],
    memory: Annotated[
        str | None, typer.Option("--memory", metavar="MIB,…", help="Sizes to measure; 512 to 10240 if not given.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", metavar="TARGET", help="Vary this function's memory; the suite's first, or serverless-1769."
        ),
    ] = None,
    out: Out = RESULTS,
    budget: Budget = None,
    seed: Seed = 0,
    quick: Annotated[bool, typer.Option("--quick", help="10 cold starts of each size, shorter windows.")] = False,
) -> None:
    """Measure a candidate as a function of several memory sizes.

    Memory buys CPU time: cost against p99, warm and cold, and the cheapest size that keeps the suite's limits. The run
    is a normal one: `harness show` and `harness rank` work on it.
    """
    import os

    from harness.analyse.fleet import users_of
    from harness.pipeline.request import Request, seconds
    from harness.pipeline.tune import SIZES, open_tune, read_sizes
    from harness.report.markdown import write_report
    from harness.report.tune import tune_table, verdict

    sizes = SIZES if memory is None else read_sizes(memory)
    request = Request([suite], out=out, budget_s=seconds(budget) if budget else None, seed=seed, quick=quick)
    folder, record, refused = open_tune(request, candidate, sizes, target, len(os.sched_getaffinity(0)))
    to = console()
    if refused:
        say(to, refused)
    ranked = measured(to, folder, record, new=True)
    write_report(ranked)
    users = users_of(record.suite)
    to.print(tune_table(ranked.ranking, record.targets, users.name if users else None, record.suite.description))
    say(to, verdict(ranked.ranking, record.targets))
    in_words = f"harness show {typed(folder)} {record.targets[0].name}"
    say(to, f"report: {shown(folder / 'report.md')}; each size in words: {in_words}")
