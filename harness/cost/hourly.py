"""Cost on machines rented by the hour: price / sustainable throughput, at an assumed utilisation."""

from datetime import date

_SECONDS_PER_HOUR = 3600
_MILLION = 1_000_000
_OLD_AFTER_DAYS = 365


def cost_per_million(usd_per_hour: float, throughput_per_s: float, utilisation: float) -> float:
    """Return USD per million inferences; `utilisation` is the fraction of time that the machine is busy, in (0, 1]."""
    seconds = _MILLION / (throughput_per_s * utilisation)
    return usd_per_hour * seconds / _SECONDS_PER_HOUR


def is_old(as_of: date, today: date) -> bool:
    """Return whether a price was read more than a year ago."""
    return (today - as_of).days > _OLD_AFTER_DAYS
