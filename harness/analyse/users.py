"""The users of a suite, served by one cell's fleet: a simulation fed by what cold starts and warm requests took.

Each measured time is used as often as the others, in shuffled order. Arrivals depend on the run's seed only: all cells
serve the same users. A target without a lifecycle is a machine that is always on: it takes every request, and works on
one at a time.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.analyse.starts import Start, times_of
from harness.analyse.trials import TrialMetrics
from harness.evidence.run import Cell
from harness.scenarios.base import NS_PER_MS
from harness.scenarios.fleet import Users
from harness.spec.arrays import Booleans, Floats, Indices
from harness.spec.target import FunctionPrice, HourlyPrice, Lifecycle, Target
from harness.stats.clustered import Stratum
from harness.stats.fleet import Rules, Served, serve
from harness.stats.traffic import bursty, poisson, repeated

_ARRIVALS, _WARM, _COLD = 11, 12, 13  # random streams
_MOST_PER_TRIAL = 20_000
_ANY_NUMBER = 1 << 30


class Times(NamedTuple):
    """What was measured of a cell (s), and of which process each time is.

    Warm requests, and cold starts up to their first response: as users see them, and as they are billed.
    """

    warm_s: Floats
    warm_process: Indices
    cold_s: Floats
    cold_billed_s: Floats
    processes: int

    @property
    def cold_process(self) -> Indices:
        """Each start is a process."""
        return np.arange(len(self.cold_s))


class Simulated(NamedTuple):
    """Users that were served: when they came, what became of them, and which measured time each one drew."""

    times: Times
    rules: Rules
    arrivals_s: Floats
    served: Served
    warm: Indices
    cold: Indices

    @property
    def span_s(self) -> float:
        """How long users came."""
        return float(self.arrivals_s[-1])

    def strata(self, values: Floats) -> tuple[Stratum, ...]:
        """Return a value of each request by the process whose time it drew: warm requests, and cold starts if any."""
        cold, times = self.served.cold, self.times
        warm = Stratum(values[~cold], times.warm_process[self.warm[~cold]], len(times.warm_s))
        if not cold.any():
            return (warm,)
        return (warm, Stratum(values[cold], times.cold_process[self.cold], len(times.cold_s)))

    def drawn(self, warm_s: Floats, cold_s: Floats) -> Floats:
        """Return what each request took itself, of other times than those that were served."""
        found = np.asarray(warm_s[self.warm], dtype=np.float64)
        found[self.served.cold] = cold_s[self.cold]
        return found


def times_for(target: Target, trials: Sequence[TrialMetrics], starts: Sequence[Start]) -> Times | None:
    """Return what is known of a cell's requests; None where its target starts cold and no start was measured."""
    if target.lifecycle is None:
        return _of_trials(trials)
    times = times_of(starts, target.lifecycle)
    if not len(times.phases["total"]):
        return None
    init_free = isinstance(target.price, FunctionPrice) and not target.price.init_billed
    not_billed = target.lifecycle.elsewhere_ms + (times.phases["init"] if init_free else 0.0)
    warm = times.warm["warm_invoke"]
    return Times(
        np.concatenate(warm) / 1e3,
        np.repeat(np.arange(len(warm)), [len(each) for each in warm]),
        times.phases["total"] / 1e3,
        (times.phases["total"] - not_billed) / 1e3,
        len(warm),
    )


def _of_trials(trials: Sequence[TrialMetrics]) -> Times:
    """Take the requests of the first window of each trial, evenly spaced where there are many; nothing starts cold."""
    arrays = [trial.requests(trial.outcome.windows[0].name) for trial in trials]
    some = [each[:: max(1, len(each) // _MOST_PER_TRIAL)] / (NS_PER_MS * 1e3) for each in arrays]
    none = np.zeros(0)
    process = np.repeat(np.arange(len(some)), [len(each) for each in some])
    return Times(np.concatenate(some), process, none, none, len(some))


def rules_of(target: Target, users: Users, times: Times) -> Rules:
    """Return how a target's fleet is run; of machines as many as keep to the busy fraction that their price assumes."""
    life = target.lifecycle
    if life is not None:
        return rules_with(life, life.provisioned)
    busy = target.price.utilisation if isinstance(target.price, HourlyPrice) else 1.0
    load = rate_of(users) * float(times.warm_s.mean())
    return Rules(0.0, _ANY_NUMBER, max(1, math.ceil(load / busy)))


def rules_with(life: Lifecycle, provisioned: int) -> Rules:
    """Return how a fleet with so many kept instances is run."""
    return Rules(life.keep_alive_s, life.concurrency, provisioned)


def rate_of(users: Users) -> float:
    """Return the mean rate of arrivals (1/s)."""
    if users.at_s:
        return (len(users.at_s) - 1) / (users.at_s[-1] - users.at_s[0])
    rate = users.rate_per_s or 0.0
    if users.arrivals == "poisson" or users.burst_per_s is None or users.burst_s is None or users.calm_s is None:
        return rate
    return (rate * users.calm_s + users.burst_per_s * users.burst_s) / (users.calm_s + users.burst_s)


def simulate(cell: Cell, times: Times, users: Users, seed: int, rules: Rules | None = None) -> Simulated:
    """Serve the users of a suite by a cell's fleet."""
    rules, n = rules or rules_of(cell.target, users, times), users.requests
    arrivals = _arrivals(users, np.random.default_rng([seed, _ARRIVALS]))
    warm = _shuffled(len(times.warm_s), n, np.random.default_rng([seed, _WARM]))
    cold = _shuffled(len(times.cold_s), n, np.random.default_rng([seed, _COLD])) if len(times.cold_s) else warm
    cold_s = times.cold_s if len(times.cold_s) else times.warm_s
    served = serve(arrivals, times.warm_s[warm], cold_s[cold], rules)
    return Simulated(times, rules, arrivals, served, warm, cold[: int(served.cold.sum())])


def _arrivals(users: Users, rng: np.random.Generator) -> Floats:
    n, rate = users.requests, users.rate_per_s or 0.0
    if users.at_s:
        return repeated(n, np.array(users.at_s))
    if users.burst_per_s is None or users.burst_s is None or users.calm_s is None:
        return poisson(n, rate, rng)
    return bursty(n, rate, users.burst_per_s, users.calm_s, users.burst_s, rng)


def _shuffled(count: int, n: int, rng: np.random.Generator) -> Indices:
    """Return n indices below `count` in random order, each as often as the others."""
    whole = np.concatenate([rng.permutation(count) for _ in range(n // count)] or [np.zeros(0, dtype=np.intp)])
    return np.concatenate((whole, rng.permutation(count)[: n - len(whole)])).astype(np.intp)


def share_kept(of: Simulated) -> Booleans:
    """Return which requests kept instances served."""
    return of.served.instance < of.rules.provisioned
