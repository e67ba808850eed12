"""A row's cold start as bars, one behind the other: what a table, a page or a plot draws."""

from collections.abc import Mapping
from typing import NamedTuple

from harness.score.records import Measure
from harness.spec.metrics import START_PHASES
from harness.spec.target import Lifecycle

_IN_ORDER = ("lost", "interpreter", "imports", "load", "first")
_BEHIND = ("second",)


class Bar(NamedTuple):
    """One phase in ms: where it begins, its p50, p90 and p99. The total begins at 0, and what is added has only a p50.

    Phases begin where the medians of those before them end, so that the last one ends near the median of the total.
    """

    name: str
    meaning: str
    begin_ms: float
    p50: Measure
    p90: Measure | None
    p99: Measure | None

    @property
    def end_ms(self) -> float:
        """Where its median ends."""
        return self.begin_ms + self.p50.value


def waterfall(metrics: Mapping[str, Measure], lifecycle: Lifecycle | None = None) -> tuple[Bar, ...]:
    """Return the bars of a row's cold start, the total last; empty where no cold start was measured."""
    if "cold_total_p50_ms" not in metrics:
        return ()
    bars, added = list[Bar](), lifecycle.elsewhere_ms if lifecycle is not None else 0.0
    if added and lifecycle is not None:
        exact = Measure(value=added, low=added, high=added, n=0, trials=0, unit="ms", basis="exact")
        bars.append(Bar("elsewhere", f"not emulated ({lifecycle.elsewhere_source})", 0.0, exact, None, None))
    for name in (*_IN_ORDER, *_BEHIND):
        if f"cold_{name}_p50_ms" in metrics:
            bars.append(_bar(metrics, name, bars[-1].end_ms if bars else 0.0))
    return (*bars, _bar(metrics, "total", 0.0))


def _bar(metrics: Mapping[str, Measure], name: str, begin_ms: float) -> Bar:
    p50, p90, p99 = (metrics[f"cold_{name}_{short}_ms"] for short in ("p50", "p90", "p99"))
    return Bar(name, START_PHASES[name], begin_ms, p50, p90, p99)
