"""One window of an open loop: its arrivals are served in one piece, and leave their evidence."""

from typing import NamedTuple

from harness.evidence.folder import BATCH, DEVICE, DUE, FREE, LATENCY, SERVER, START
from harness.scenarios.base import Bench
from harness.scenarios.board import DONE
from harness.scenarios.closed_loop import WarmUp, settling
from harness.scenarios.serving import Team
from harness.spec.arrays import Array, Integers
from harness.spec.outcome import OpenLoop, Window
from harness.stats.arrivals import NS_PER_S

LEAD_NS = 5_000_000
"""The first moment of a window is so far ahead that all servers stand ready."""
_OVERRUN, _OVERRUN_REQUESTS = 1.5, 20
"""A request is taken until so many times the window's seconds have passed, and so many requests' time after them."""


class OpenWindow(NamedTuple):
    """A window to serve: its name and scenario, the rows of a request, when requests are due (ns from its begin)."""

    name: str
    scenario: str
    rows: int
    offsets: Integers
    traffic: OpenLoop


def serve_window(window: OpenWindow, team: Team, warmed: WarmUp, bench: Bench) -> Array:
    """Serve a window and keep its evidence; returns the latencies (ns) of those that were served, as they were due."""
    traffic = window.traffic
    with bench.measuring(window.name):
        uncounted = settling(warmed.median_ns) if bench.next_turn() or traffic.max_batch > 1 else 0
        team.settle(uncounted)
        with bench.counting():
            begin_ns = _serve(team, window, warmed.median_ns, bench)
    return _keep(bench, window, warmed, team, begin_ns, uncounted)


def _serve(team: Team, window: OpenWindow, request_ns: float, bench: Bench) -> int:
    """Let the team serve; returns when the window began (ns)."""
    began, lasts_ns = [0], window.traffic.seconds * NS_PER_S

    def begin() -> None:
        began[0] = bench.clock() + LEAD_NS
        most_ns = max(_OVERRUN * lasts_ns, lasts_ns + _OVERRUN_REQUESTS * request_ns)
        team.board.begin(began[0] + window.offsets, began[0] + round(most_ns))

    team.serve(begin)
    return began[0]


def _keep(bench: Bench, window: OpenWindow, warmed: WarmUp, team: Team, begin_ns: int, uncounted: int) -> Array:
    """Keep the evidence of a window; returns its latencies (ns)."""
    traffic, served = window.traffic, team.board.served()
    latency, samples = served[DONE] - served[DUE], len(served[DUE])
    arrays = {name: served[name] for name in (START, DUE, FREE, SERVER)} | {LATENCY: latency}
    if traffic.max_batch > 1:
        arrays[BATCH] = served[BATCH]
    timed = bench.device_ns is not None and traffic.servers == 1 == traffic.max_batch
    if timed and bench.device_ns is not None:
        arrays[DEVICE] = bench.device_ns(samples)
    record = Window(
        name=window.name,
        scenario=window.scenario,
        samples=samples,
        batch_size=window.rows,
        elapsed_ns=int(served[DONE].max()) - begin_ns,
        steady=warmed.steady,
        warm_up_samples=warmed.samples,
        warm_up_ns=warmed.spent_ns,
        rounds=1,
        uncounted=uncounted * traffic.servers,
        ended_by="deadline" if samples < traffic.offered else "turns",
        device_timed=timed,
        open_loop=traffic,
    )
    bench.keep(record, arrays)
    return latency
