"""How much it pays to keep instances: a cell's fleet with none, one, two … of them, for the same users."""

from typing import NamedTuple

import msgspec

from harness.analyse.fleet import billed_each, month_of
from harness.analyse.money import size_of
from harness.analyse.users import Simulated, Times, rate_of, rules_with, simulate
from harness.cost.serverless import pays_from
from harness.evidence.run import Cell
from harness.scenarios.fleet import Users
from harness.score.words import number, percent
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.target import ContainerPrice, FunctionPrice
from harness.stats.clustered import quantile

_REQUESTS = 20_000
_MOST = 5
_RARE = 0.001
"""Keeping more instances is not looked at once so few requests are cold."""
_MS = 1e3


class Kept(NamedTuple):
    """A fleet with so many kept instances: the fraction of cold requests, p99 (ms), USD a month (None: no price)."""

    provisioned: int
    cold_rate: float
    p99_ms: float
    usd: float | None


def sweep(cell: Cell, times: Times, users: Users, seed: int) -> list[Kept]:
    """Serve the users with more and more kept instances, until hardly any request is cold."""
    life, found = cell.target.lifecycle, list[Kept]()
    if life is None:
        return []
    shorter = msgspec.structs.replace(users, requests=min(users.requests, _REQUESTS))
    for count in range(_MOST + 1):
        found.append(_kept(cell, simulate(cell, times, shorter, seed, rules_with(life, count))))
        if found[-1].cold_rate < _RARE:
            break
    return found


def _kept(cell: Cell, of: Simulated) -> Kept:
    p99 = quantile(of.strata(of.served.latency_s * _MS), 0.99).value
    return Kept(of.rules.provisioned, of.served.cold_rate, p99, month_of(cell, of))


def provisioned_remark(cell: Cell, of: Simulated, users: Users, seed: int) -> Diagnostic | None:
    """Say what kept instances would cost and save; None where none go cold, or keeping has no price."""
    told = sweep(cell, of.times, users, seed)
    if len(told) < 2 or told[1].usd is None or told[0].usd is None:
        return None
    none, best = told[0], told[-1]
    many = f"{best.provisioned} kept instance{'' if best.provisioned == 1 else 's'}"
    text = f"{many} would lower cold starts from {percent(none.cold_rate, 2)} to {percent(best.cold_rate, 2)} and p99"
    text += f" from {number(none.p99_ms)} to {number(best.p99_ms)} ms, for {number(best.usd or 0.0)} instead of"
    text += f" {number(none.usd or 0.0)} USD a month; {_break_even(cell, of, users)}"
    columns = [[*column] for column in zip(*told, strict=True)]
    return diagnostic(
        "provisioned", text, provisioned=columns[0], cold_rate=columns[1], p99_ms=columns[2], usd=columns[3]
    )


def _break_even(cell: Cell, of: Simulated, users: Users) -> str:
    """Say from which rate on a kept instance costs less than instances on demand."""
    price = cell.target.price
    if not isinstance(price, FunctionPrice | ContainerPrice):
        return "what it costs is not known"
    fraction, each_s = pays_from(price), float(billed_each(of, price).mean())
    if fraction is None or not size_of(cell.target).memory_gib:
        return "it never costs less than instances on demand"
    busy = min(1.0, rate_of(users) * each_s)
    text = f"it costs less than instances on demand where it is busy {percent(fraction)} of the time"
    return f"{text} ({number(fraction / each_s, 2)} requests/s), here {number(100 * busy, 2)} %"
