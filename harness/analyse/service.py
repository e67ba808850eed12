"""How long requests were served, without waiting: what a queue is predicted from."""

from collections.abc import Sequence
from typing import NamedTuple

from harness.analyse.trials import TrialMetrics
from harness.spec.arrays import Array
from harness.spec.scenario import Scenario, kind_of


class Service(NamedTuple):
    """Service times (ns) of a cell, one array for each process, and the scenario that they are from.

    `servers` is how many requests a replica of the cell serves at once.
    """

    scenario: str
    processes: tuple[Array, ...]
    servers: int = 1

    @property
    def measured(self) -> int:
        """How many service times there are."""
        return sum(each.size for each in self.processes)


def service_of(trials: Sequence[TrialMetrics], scenarios: Sequence[Scenario]) -> Service | None:
    """Return the service times of the first scenario that times single requests one after another; None without any.

    In a closed loop a request's latency is its service time. Raises EvidenceError if evidence is damaged.
    """
    for scenario in scenarios:
        if kind_of(scenario) == "single_stream":
            found = [latency for trial in trials if (latency := trial.latencies(scenario.name)) is not None]
            if found:
                return Service(scenario.name, tuple(found))
    return None
