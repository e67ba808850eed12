"""Numbers with a range, as types: what is not finite or out of range is refused when a file is read."""

import sys
from typing import Annotated, TypeAlias

from msgspec import Meta

LARGEST = sys.float_info.max

Finite: TypeAlias = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Positive: TypeAlias = Annotated[float, Meta(gt=0, le=LARGEST)]
NotNegative: TypeAlias = Annotated[float, Meta(ge=0, le=LARGEST)]
Count: TypeAlias = Annotated[int, Meta(gt=0)]
PeriodMs: TypeAlias = Annotated[int, Meta(ge=1, le=1000)]
"""What Linux takes as the period of a CPU quota."""
Fraction: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
PositiveFraction: TypeAlias = Annotated[float, Meta(gt=0, le=1)]
Rate: TypeAlias = Annotated[float, Meta(ge=1e-3, le=1e7)]
"""Requests per second, within what can be measured."""
Share: TypeAlias = Annotated[float, Meta(ge=0.01, lt=1)]
Probability: TypeAlias = Annotated[float, Meta(gt=0, lt=1)]
