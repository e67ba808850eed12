"""`harness targets`, `suites` and `doctor`: what there is, whether it runs here, and how well this machine measures."""

from harness.cli.output import console


def targets() -> None:
    """List the targets, and whether they run here."""
    from harness.pipeline.prepare import check_all
    from harness.report.listing import targets_table

    console().print(targets_table(check_all()))


def suites() -> None:
    """List the suites."""
    from harness.report.listing import suites_table

    console().print(suites_table())


def doctor() -> None:
    """Examine this machine as an instrument.

    Clock, noise, limits: what can be trusted here, what is enforced and what is not.
    """
    from harness.cli.examine import examine
    from harness.report.listing import doctor_table

    console().print(doctor_table(examine()))
