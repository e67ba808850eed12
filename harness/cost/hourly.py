"""Cost on machines rented by the hour: price / sustainable throughput, at an assumed utilisation."""

from datetime import date

_SECONDS_PER_HOUR = 3600
HOURS_PER_MONTH = 730
"""A twelfth of a year of 365 days."""
_MILLION = 1_000_000
_OLD_AFTER_DAYS = 365


def cost_per_million(usd_per_hour: float, throughput_per_s: float, utilisation: float) -> float:
    """Return USD per million inferences; `utilisation` is the fraction of time that the machine is busy, in (0, 1]."""
    seconds = _MILLION / (throughput_per_s * utilisation)
    return usd_per_hour * seconds / _SECONDS_PER_HOUR


def cost_per_month(usd_per_hour: float, machines: int) -> float:
    """Return USD for this many machines in a month, rented all the time."""
    return usd_per_hour * machines * HOURS_PER_MONTH


def is_old(as_of: date, today: date) -> bool:
    """Return whether a price was read more than a year ago."""
    return (today - as_of).days > _OLD_AFTER_DAYS
