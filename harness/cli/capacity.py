"""`harness capacity`: how many replicas of each row serve a load at a latency limit, and what they cost a month."""

import math
import re
from enum import StrEnum
from typing import Annotated

import typer

from harness.cli.output import NOTHING_ELIGIBLE, RESULTS, Out, RunName, console, say
from harness.errors import SpecError

_DURATION = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>us|µs|ms|s)")
_MS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}


class Dispatch(StrEnum):
    """How requests reach the replicas."""

    random = "random"
    shared = "shared"


def capacity(
    run: RunName = "latest",
    rate: Annotated[
        float | None, typer.Option("--rate", metavar="PER_S", help="Requests per second, all replicas; needed.")
    ] = None,
    p50: Annotated[str | None, typer.Option("--p50", metavar="50ms", help="The limit, on p50.")] = None,
    p90: Annotated[str | None, typer.Option("--p90", metavar="50ms", help="The limit, on p90.")] = None,
    p95: Annotated[str | None, typer.Option("--p95", metavar="50ms", help="The limit, on p95.")] = None,
    p99: Annotated[str | None, typer.Option("--p99", metavar="50ms", help="The limit, on p99.")] = None,
    p99_9: Annotated[str | None, typer.Option("--p99.9", metavar="50ms", help="The limit, on p99.9.")] = None,
    dispatch: Annotated[
        Dispatch, typer.Option(help="random: a queue for each replica; shared: one queue for all.")
    ] = Dispatch.random,
    out: Out = RESULTS,
) -> None:
    """Predict replicas and monthly cost.

    For each row of a run: how many replicas serve --rate requests per second at a latency limit (--p99 50ms).
    """
    from harness.analyse.capacity import Load, fleets
    from harness.analyse.foretold import foretold
    from harness.analyse.measured_capacity import measured_capacities
    from harness.analyse.reader import open_run
    from harness.evidence.run import find
    from harness.report.capacity import assumptions, capacity_table, measured_line, validation

    key, limit_ms = _limit({"p50": p50, "p90": p90, "p95": p95, "p99": p99, "p99.9": p99_9})
    if rate is None:
        raise SpecError("--rate", "no load is given", "write --rate 2000, requests per second")
    if not (rate > 0.0 and math.isfinite(rate)):
        raise SpecError("--rate", f"{rate:g} is not a number of requests per second above 0", "write --rate 2000")
    load = Load(rate, key, limit_ms, dispatch.value)
    reader = open_run(find(run, out))
    found = fleets(reader, load)
    to = console()
    to.print(capacity_table(found, load))
    measured = map(measured_line, measured_capacities(reader))
    for line in (*assumptions(load), *measured, *validation(foretold(reader, key), load)):
        say(to, f"· {line}")
    if all(each.replicas is None for each in found):
        raise typer.Exit(NOTHING_ELIGIBLE)


def _limit(given: dict[str, str | None]) -> tuple[str, float]:
    """Return the percentile's metric key and its limit (ms); SpecError unless there is just one."""
    named = {name: text for name, text in given.items() if text is not None}
    if len(named) != 1:
        what = "two limits" if named else "no limit on latency"
        raise SpecError("harness capacity", what, f"give one of {', '.join(f'--{name}' for name in given)}: --p99 50ms")
    ((name, text),) = named.items()
    return f"latency_{name.replace('.', '_')}_ms", _ms(f"--{name}", text)


def _ms(option: str, text: str) -> float:
    """Read a short duration (ms): `50ms`, `500us`, `2s`. Raises SpecError if it is none, or not above 0."""
    found = _DURATION.fullmatch(text.strip())
    if found is None or float(found["number"]) <= 0:
        raise SpecError(option, f"'{text}' is not a duration above 0", "write 50ms, 500us or 2s")
    return float(found["number"]) * _MS[found["unit"]]
