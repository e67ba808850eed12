"""`harness rank`: decide again from the evidence."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.output import RESULTS, Out, RunName, console, finish, say, shown


def rank(
    run: RunName = "latest",
    policy: Annotated[
        Path | None, typer.Option("--policy", metavar="FILE", help="A TOML file with another [policy].")
    ] = None,
    out: Out = RESULTS,
) -> None:
    """Decide again from a run's evidence.

    By its own policy or another; nothing is measured.
    """
    from harness.evidence.run import find, read_run
    from harness.pipeline.conclude import conclude
    from harness.pipeline.decision import SUPERSEDED
    from harness.spec.find import load_policy

    folder = find(run, out)
    scenarios = [scenario.name for scenario in read_run(folder).suite.scenario]
    other = load_policy(policy, scenarios) if policy is not None else None
    before = set(folder.glob(SUPERSEDED))
    ranked = conclude(folder, other)
    for kept in sorted({*folder.glob(SUPERSEDED)} - before):
        say(console(), f"the decision is another one now; the record of the one before is kept: {shown(kept)}")
    finish(console(), ranked)
