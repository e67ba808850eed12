"""A target: a place where a candidate could run. A claim about the world, with source and date."""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

Option = str | int | float | bool


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the place gives a process: CPUs (cores) and memory (MiB); None is all there is."""

    cpus: float | None = None
    memory_mib: int | None = None


class HourlyPrice(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="hourly", tag_field="model"
):
    """A machine rented by the hour. `utilisation` is the share of time it is assumed to be busy."""

    usd_per_hour: float
    source: str
    as_of: date
    utilisation: float = 0.6


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Runtime + device + precision + limits + price. `name` is the file's stem."""

    name: str = ""
    description: str
    runtime: str
    device: str = "cpu"
    precision: Literal["fp32"] = "fp32"
    python: str | None = None
    limits: Limits = Limits()
    options: dict[str, Option] = {}
    price: HourlyPrice | None = None
