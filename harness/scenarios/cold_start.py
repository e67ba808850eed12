"""`cold_start`: instances of a function or a container that start, answer a few requests, and end.

Each start is a process of its own, never a fork and never a part of a trial: the pipeline has the launcher start it.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from msgspec import Struct

from harness.scenarios.base import Bench, MeasuredWindow, ScenarioMetrics
from harness.spec.ranges import Count, Positive
from harness.spec.scenario import Scenario


class ColdStarts(
    Scenario, Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="cold_start", tag_field="kind"
):
    """`samples` starts of each cell; 36 are the fewest that bound p90. Each answers two requests at least.

    It then answers warm ones for `seconds` at most, up to `requests` in all.
    """

    in_trials: ClassVar[bool] = False

    name: str = "cold_start"
    samples: Count = 36
    requests: Count = 10
    seconds: Positive = 0.5

    def problems(self) -> str | None:
        """Say what is wrong beyond types and ranges."""
        return "requests: a start is measured by its first two requests; give 2 or more" if self.requests < 2 else None


class _ColdStart:
    """Nothing to execute in a trial; what starts tell is read by `analyse.starts`."""

    parameters = ColdStarts
    times_requests = False

    def execute(self, scenario: Any, bench: Bench) -> None:
        """Do nothing: no start happens in a process that runs already."""

    def metrics(self, scenario: Any, windows: Sequence[MeasuredWindow]) -> ScenarioMetrics:
        """Return nothing: a trial says nothing of starts."""
        return ScenarioMetrics({}, {}, {})


KIND = _ColdStart()
