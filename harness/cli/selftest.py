"""`harness selftest`: the proof that the instrument is honest."""

from typing import Annotated

import typer

from harness.cli.output import Seed, console


def selftest(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer repetitions: under a minute.")] = False,
    seed: Seed = 0,
) -> None:
    """Prove the instrument honest.

    Truths known by construction, measured by the real pipeline. Exits with 1 where one is missed.
    """
    from harness.report.progress import observer
    from harness.selftest.prove import prove
    from harness.selftest.show import proof_table

    to = console()
    with observer(to) as watching:
        proved = prove(seed, quick, watching)
    to.print(proof_table(proved))
    if not all(finding.passed for finding in proved):
        raise typer.Exit(1)
