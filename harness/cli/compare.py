"""`harness compare`: what became better or worse between runs, and how sure that is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.output import INTERRUPTED, REGRESSION, RESULTS, Force, Out, Summary, console, say, shown
from harness.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from harness.pipeline.again import Terms
    from harness.pipeline.compare import Asked
    from harness.score.verdicts import Comparison

_SUMMARY = "GITHUB_STEP_SUMMARY"


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="BASE… NEW", help="Runs; 'baseline' is the stored one. Three of the base tell its noise."
        ),
    ],
    margin: Annotated[
        list[str] | None,
        typer.Option("--margin", metavar="METRIC=5%", help="Up to which change a metric is the same; repeatable."),
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", metavar="METRIC", help="Judge only this metric; repeatable.")
    ] = None,
    noise: Annotated[
        str | None, typer.Option("--noise", metavar="3%", help="Relative sd from run to run, where you know it.")
    ] = None,
    alpha: Annotated[
        str, typer.Option("--alpha", metavar="5%", help="Probability of any false 'worse' or 'better'.")
    ] = "5%",
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Measure suspects again, side by side with the base, before judging them.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--everything", help="With --confirm: measure all rows again, not only suspects.")
    ] = False,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="90s", help="Most time for that; default: four times the run's budget."),
    ] = None,
    baseline_python: Annotated[
        str | None,
        typer.Option("--baseline-python", metavar="PYTHON", help="Interpreter with the base's harness and runtimes."),
    ] = None,
    force: Force = False,
    fail_on: Annotated[
        str | None, typer.Option("--fail-on", metavar="regression", help="Exit with 4 if something got worse.")
    ] = None,
    summary: Summary = None,
    out: Out = RESULTS,
) -> None:
    """Compare runs: what became better or worse.

    Every metric of every row is better, worse, the same, or ambiguous. With one run that measured suspects again, its
    pairs are judged. compare.json and compare.md are kept in the run.
    """
    from harness.evidence.run import find
    from harness.pipeline.again import BLOCKS, Terms
    from harness.pipeline.compare import Asked
    from harness.pipeline.request import seconds
    from harness.report.verdicts import write_comparison
    from harness.score.changes import Stated

    if fail_on not in (None, "regression"):
        raise SpecError("--fail-on", f"'{fail_on}' is nothing to fail on", "write --fail-on regression")
    if not confirm and (everything or budget or baseline_python):
        raise SpecError("harness compare", "nothing is measured again", "add --confirm")
    level = error_rate(alpha)
    stated = Stated(None if noise is None else fraction("--noise", noise))
    asked = Asked(_margins(margin or ()), known_metrics(metric or ()), level, stated)
    terms = Terms(seconds(budget) if budget else 0.0, baseline_python, BLOCKS) if confirm else None
    folder = find(runs[-1], out)
    to = console()
    found = compared(to, folder, runs[:-1], asked, terms, everything, force, out)
    write_comparison(folder, found)
    finish_comparison(to, folder, found, summary, fail_on is not None)


def compared(
    to: Console,
    new: Path,
    names: Sequence[str],
    asked: Asked,
    terms: Terms | None,
    everything: bool,
    force: bool,
    out: Path,
) -> Comparison:
    """Compare, and measure suspects again where that is asked for."""
    from harness.pipeline.again import BUDGETS
    from harness.pipeline.compare import compare as compare_runs
    from harness.pipeline.compare import confirm, read_sides, within
    from harness.report.progress import observer

    if not names:
        return within(new, asked)
    bases, python = _bases(names, new, out)
    sides, notes = read_sides(bases, new, force)
    found = compare_runs(sides, asked, notes)
    if terms is None:
        return found
    terms = terms._replace(
        budget_s=terms.budget_s or BUDGETS * sides.new.record.suite.budget.seconds, python=terms.python or python
    )
    try:
        with observer(to) as watching:
            return confirm(found, sides, asked, terms, watching, everything)
    except KeyboardInterrupt:
        say(to, f"stopped before suspects were judged; again with: harness compare … {shown(new)} --confirm")
        raise typer.Exit(INTERRUPTED) from None


def _bases(names: Sequence[str], new: Path, out: Path) -> tuple[list[Path], str | None]:
    """Return the base's runs; of a stored baseline also the interpreter."""
    from harness.evidence.baseline import NAME, folder_of, read_baseline
    from harness.evidence.run import find, read_run

    if list(names) != [NAME]:
        found = [find(name, out) for name in names]
        if new in found or len(set(found)) < len(found):
            raise SpecError("harness compare", "the same run is named twice", "name BASE… and NEW")
        return found, None
    suite = read_run(new).suite.name
    baseline = read_baseline(out, suite)
    return [folder_of(out, suite) / run for run in baseline.runs], baseline.python


def finish_comparison(to: Console, folder: Path, found: Comparison, summary: Path | None, fail: bool) -> None:
    """Print, write the summary for a job's page, and exit with 4 where something got worse."""
    from harness.report.verdicts import markdown, verdict_table

    to.print(verdict_table(found))
    say(to, f"comparison: {shown(folder / 'compare.md')}")
    for path in (summary, Path(os.environ[_SUMMARY]) if os.environ.get(_SUMMARY) else None):
        if path is not None:
            _append(path, markdown(found))
    if fail and (found.regressions or found.broken):
        raise typer.Exit(REGRESSION)


def _append(path: Path, text: str) -> None:
    from harness.evidence.files import cannot_write

    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise cannot_write(path, error) from error


def _margins(texts: Sequence[str]) -> dict[str, float]:
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        known_metrics([name], "--margin")
        found[name] = fraction("--margin", value)
    return found


def known_metrics(names: Sequence[str], option: str = "--metric") -> list[str]:
    """Return the metrics that are named. Raises SpecError for one that there is not."""
    from harness.spec.metrics import metric_names, nearest, split_key

    for name in names:
        if split_key(name)[1] not in metric_names():
            raise SpecError(option, f"unknown metric '{name}'", nearest(split_key(name)[1], metric_names()))
    return list(names)


def error_rate(text: str) -> float:
    """Read --alpha. Raises SpecError unless it is above 0 and below 50 %."""
    level = fraction("--alpha", text)
    if not 0 < level < 0.5:
        raise SpecError("--alpha", f"'{text}' is no error rate", "write 5%, or 1%")
    return level


def fraction(option: str, text: str) -> float:
    """Read `5%` or `0.05`. Raises SpecError if it is neither, or negative."""
    try:
        value = float(text.rstrip("% ")) / (100.0 if text.rstrip().endswith("%") else 1.0)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < 10.0:
        raise SpecError(option, f"'{text}' is not a fraction", "write 5% or 0.05")
    return value
