"""`harness release`: what leaves the team: the runs of a release with reports, comparison, provenance, checksums."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.output import RESULTS, Force, Out, console, say, shown, write_reports


def release(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="SUITE | RUN…", help="One run for each suite: the suite's last one, or a folder."),
    ],
    version: Annotated[
        str | None,
        typer.Option("--version", metavar="NAME", help="Name of the release; the version of the program by default."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", metavar="NAME", help="Release to compare with, or 'none'; the last one by default."),
    ] = None,
    force: Force = False,
    out: Out = RESULTS,
) -> None:
    """Make a release report from finished runs: OUT/release/VERSION.

    It keeps the runs with their evidence, and holds index.html, release.md, release.csv, release.json, provenance.json
    and SHA256SUMS, which `sha256sum -c` checks.
    """
    from harness import __version__
    from harness.pipeline.release import FOLDER, assembled, baseline_of, staged
    from harness.report.page.release import write_release_page
    from harness.report.release import since, write_texts

    named = version or __version__
    before = baseline_of(out, named, baseline)
    base = None if before is None else out.absolute() / FOLDER / before
    folders, to = [_found(run, out) for run in runs], console()
    with staged(out, named) as folder:
        made = assembled(folder, folders, named, __version__, base, force)
        for part in made.parts:
            write_reports(part.ranked, part.reader)
        write_texts(folder, made)
        write_release_page(folder, made)
    for part in made.parts:
        say(to, f"{part.ranked.record.suite.name}: {since(part)}")
    say(to, f"release: {shown(out.absolute() / FOLDER / named)}")


def _found(name: str, out: Path) -> Path:
    """Return the last run of a suite, or the run that is meant."""
    from harness.evidence.run import find

    of_suite = f"-{name}-"
    return find(of_suite if any(out.glob(f"*{of_suite}*/run.json")) else name, out)
