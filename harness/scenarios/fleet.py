"""`fleet`: requests of many users over hours, served by instances that start on demand and go cold.

Nothing is sent for it: `analyse.fleet` simulates it from what cold starts and warm requests were measured to take.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from harness.scenarios.base import Bench, MeasuredWindow, ScenarioMetrics
from harness.spec.ranges import NotNegative, Positive
from harness.spec.scenario import Scenario

_BURST = ("burst_per_s", "burst_s", "calm_s")


class Users(
    Scenario, msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="fleet", tag_field="kind"
):
    """When users send requests, and how many of them are simulated.

    `poisson` arrivals come at `rate_per_s`. `bursty` ones do in calm phases, and at `burst_per_s` in bursts; phases
    last `calm_s` and `burst_s` on average (exponential). `trace` names a CSV or Parquet file with
    a column of timestamps, in units of `trace_unit`; it is repeated. `at_s` are its arrivals (s), once it has been
    read; they may be written here, too.
    """

    in_trials: ClassVar[bool] = False

    name: str = "users"
    arrivals: Literal["poisson", "bursty"] = "poisson"
    rate_per_s: Positive | None = None
    burst_per_s: Positive | None = None
    burst_s: Positive | None = None
    calm_s: Positive | None = None
    trace: str | None = None
    trace_column: str | None = None
    trace_unit: Literal["s", "ms", "us", "ns"] = "s"
    at_s: tuple[NotNegative, ...] = ()
    requests: Annotated[int, msgspec.Meta(ge=1000, le=10_000_000)] = 50_000

    def problems(self) -> str | None:
        """Say what is wrong beyond types and ranges."""
        recorded = self.trace is not None or bool(self.at_s)
        if recorded and self.rate_per_s is not None:
            return "rate_per_s: a trace has its own; leave out one of them"
        if not recorded and self.rate_per_s is None:
            return "rate_per_s: missing; give requests per second, or a 'trace'"
        given = [key for key in _BURST if getattr(self, key) is not None]
        if given and (recorded or self.arrivals != "bursty"):
            return f'{given[0]}: is of arrivals = "bursty"'
        missing = [key for key in _BURST if key not in given]
        if self.arrivals == "bursty" and not recorded and missing:
            return f"{missing[0]}: missing; bursty arrivals have a rate and a mean length of bursts, and of calm phases"
        pairs = zip(self.at_s, self.at_s[1:], strict=False)
        if self.at_s and (not all(one <= next_ for one, next_ in pairs) or self.at_s[0] == self.at_s[-1]):
            return "at_s: needs two arrivals at least, sorted, and not all at once"
        return None


class _Fleet:
    """Nothing to execute, and nothing that a trial tells of it."""

    parameters = Users
    times_requests = True

    def execute(self, scenario: Any, bench: Bench) -> None:
        """Do nothing: users are simulated."""

    def metrics(self, scenario: Any, windows: Sequence[MeasuredWindow]) -> ScenarioMetrics:
        """Return nothing: a trial has no users."""
        return ScenarioMetrics({}, {}, {})


KIND = _Fleet()
