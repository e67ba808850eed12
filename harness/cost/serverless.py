"""Cost of functions and containers that are billed by use: what a fleet used in some time → USD of that, by parts."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from harness.spec.arrays import Floats
from harness.spec.target import ContainerPrice, FunctionPrice, UsagePrice

MONTH_S = 30 * 24 * 3600
"""Seconds of the month that monthly costs and free amounts are for."""
_MILLION = 1_000_000
_NIL = 1e-6
"""Parts of a step within which a duration counts as whole: what floating-point sums are off by."""


class Size(NamedTuple):
    """An instance's size: memory (GiB) and vCPUs."""

    memory_gib: float
    vcpus: float


class Use(NamedTuple):
    """What a fleet used in `span_s`: seconds of instances, and requests.

    `billed_s` are busy seconds of instances on demand, rounded up as the price says; `kept_billed_s` those of the
    instances that are kept (provisioned, minimum); `alive_s` how long instances on demand existed; `kept_s` how long
    kept ones did.
    """

    span_s: float
    requests: float
    billed_s: float
    alive_s: float = 0.0
    kept_billed_s: float = 0.0
    kept_s: float = 0.0

    def monthly(self) -> Use:
        """Return the use in a month that goes on like this."""
        return Use(*(value * MONTH_S / self.span_s for value in self))


class Bill(NamedTuple):
    """USD by what they are paid for."""

    requests: float
    compute: float
    kept: float

    @property
    def total(self) -> float:
        """The sum."""
        return math.fsum(self)


def rounded_up(seconds: Floats, step_ms: float) -> Floats:
    """Return durations (s) rounded up to whole steps; at least one step each."""
    steps = np.ceil(seconds * (1e3 / step_ms) - _NIL)
    return np.asarray(np.maximum(steps, 1.0) * (step_ms / 1e3))


def monthly(price: UsagePrice, size: Size, use: Use) -> Bill:
    """Return the bill of a month that goes on as `use` does; raises ValueError where kept instances have no price."""
    if isinstance(price, FunctionPrice):
        return _function(price, size, use.monthly())
    return _container(price, size, use.monthly())


def per_million(price: UsagePrice, size: Size, use: Use) -> float:
    """Return USD per million requests of a month that goes on as `use` does; errors as in `monthly`."""
    return monthly(price, size, use).total / use.monthly().requests * _MILLION


def _function(price: FunctionPrice, size: Size, month: Use) -> Bill:
    kept = month.kept_s > 0.0
    standing, running = price.provisioned_usd_per_gb_s, price.provisioned_duration_usd_per_gb_s
    if kept and (standing is None or running is None):
        raise ValueError("provisioned concurrency has no price")
    free_gb_s, free_requests = (price.free_gb_s, price.free_requests) if price.free_tier and not kept else (0.0, 0.0)
    on_demand = max(0.0, month.billed_s * size.memory_gib - free_gb_s) * price.usd_per_gb_s
    return Bill(
        requests=max(0.0, month.requests - free_requests) * price.usd_per_million_requests / _MILLION,
        compute=on_demand + month.kept_billed_s * size.memory_gib * (running or 0.0),
        kept=month.kept_s * size.memory_gib * (standing or 0.0),
    )


def _container(price: ContainerPrice, size: Size, month: Use) -> Bill:
    free = (price.free_vcpu_s, price.free_gib_s, price.free_requests) if price.free_tier else (0.0, 0.0, 0.0)
    whole = price.billing == "instance"
    seconds = month.alive_s + month.kept_s if whole else month.billed_s + month.kept_billed_s
    idle_s = 0.0 if whole else max(0.0, month.kept_s - month.kept_billed_s)
    idle = (price.idle_usd_per_vcpu_s, price.idle_usd_per_gib_s)
    if idle_s and None in idle:
        raise ValueError("idle minimum instances have no price")
    cpu = max(0.0, seconds * size.vcpus - free[0]) * price.usd_per_vcpu_s
    memory = max(0.0, seconds * size.memory_gib - free[1]) * price.usd_per_gib_s
    return Bill(
        requests=max(0.0, month.requests - free[2]) * price.usd_per_million_requests / _MILLION,
        compute=cpu + memory,
        kept=idle_s * (size.vcpus * (idle[0] or 0.0) + size.memory_gib * (idle[1] or 0.0)),
    )


def pays_from(price: UsagePrice) -> float | None:
    """Return the fraction of time from which a kept instance, busy as long, costs no more than instances on demand.

    None where it never does, or has no price. Starting costs, which a kept instance saves, are not counted.
    """
    if isinstance(price, FunctionPrice):
        standing, running = price.provisioned_usd_per_gb_s, price.provisioned_duration_usd_per_gb_s
        saved = None if running is None else price.usd_per_gb_s - running
        return None if standing is None or not saved or saved < standing else standing / saved
    return None
