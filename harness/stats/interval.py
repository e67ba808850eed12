"""The one shape of an uncertain number's range, shared by every room."""

from __future__ import annotations

from typing import NamedTuple


class Interval(NamedTuple):
    """A range with its two ends; `-inf` or `inf` marks an end that the data cannot bound."""

    low: float
    high: float
