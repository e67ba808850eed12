"""`harness suites`: what can be measured."""

from harness.cli.output import console


def suites() -> None:
    """List the suites."""
    from harness.report.listing import suites_table

    console().print(suites_table())
