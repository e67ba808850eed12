"""`harness report`: the page and the Markdown of a run."""

from typing import Annotated

import typer

from harness.cli.output import RESULTS, Out, RunName, console, say, shown, write_reports


def report(
    run: RunName = "latest",
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    out: Out = RESULTS,
) -> None:
    """Write a run's report.html and report.md.

    The page needs no network: plots, the table that sorts and filters, reasons, provenance are in the one file.
    """
    import webbrowser

    from harness.analyse.reader import open_run
    from harness.evidence.run import find
    from harness.pipeline.conclude import load_ranked

    folder, to = find(run, out), console()
    reader = open_run(folder)
    path = write_reports(load_ranked(folder, reader), reader)
    say(to, f"report: {shown(path)} and {path.with_suffix('.md').name}")
    if open_ and not webbrowser.open(path.as_uri()):
        say(to, "no browser could be opened")
