"""`harness doctor`: this machine as a measuring instrument."""

from harness.cli.output import console


def doctor() -> None:
    """Examine this machine as an instrument.

    Clock, noise, limits: what can be trusted here, what is enforced and what is not.
    """
    from harness.cli.examine import examine
    from harness.report.listing import doctor_table

    console().print(doctor_table(examine()))
