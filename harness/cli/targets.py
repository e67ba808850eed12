"""`harness targets`: where a candidate can run, and whether that works here."""

from harness.cli.output import console


def targets() -> None:
    """List the targets, and whether they run here."""
    from harness.pipeline.targets import check_all
    from harness.report.listing import targets_table

    console().print(targets_table(check_all()))
