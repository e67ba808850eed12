"""Cost on machines rented by the hour: price / sustainable throughput, at an assumed utilisation."""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

_SECONDS_PER_HOUR = 3600
_MILLION = 1_000_000
_OLD_AFTER_DAYS = 365


class Rate(NamedTuple):
    """A measured operating point: throughput at full load (inferences per second) and its latency (ms)."""

    throughput_per_s: float
    latency_ms: float


def sustainable(rates: Iterable[Rate], latency_limit_ms: float | None) -> float | None:
    """Return the highest throughput (1/s) whose latency is within the limit; None when there is none."""
    within = [r.throughput_per_s for r in rates if latency_limit_ms is None or r.latency_ms <= latency_limit_ms]
    return max(within, default=None)


def cost_per_million(usd_per_hour: float, throughput_per_s: float, utilisation: float) -> float:
    """Return USD per million inferences; `utilisation` is the fraction of time that the machine is busy, in (0, 1]."""
    seconds = _MILLION / (throughput_per_s * utilisation)
    return usd_per_hour * seconds / _SECONDS_PER_HOUR


def is_old(as_of: date, today: date) -> bool:
    """Return whether a price was read more than a year ago."""
    return (today - as_of).days > _OLD_AFTER_DAYS
