"""How a budget is spent: blocks in shuffled order, the lengths of windows and turns, who shares a block. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from harness.spec.suite import Suite
from harness.spec.wire import SLOW_S

BLOCKS, QUICK_BLOCKS = 5, 3
"""How many blocks windows are sized for, at least."""
FEWEST_BLOCKS, MOST_BLOCKS = 2, 10
SETUP_FRACTION = 0.12
"""More blocks are planned as long as starting and loading take no more than this part of the budget."""
FIRST_LOOK = 3
"""After how many blocks a cell may be dropped."""
SHORTEST = 0.1
"""The fraction of a scenario's seconds from which on a window is worth its process."""
LEAST_REQUESTS = 2
FEW, VERY_SLOW_S = 16, 0.1
"""A turn holds 16 requests, so that the first, which finds the caches filled by others and is left out, is one of many.
Of slow ones (`SLOW_S`) none is left out, and 4 requests hide what it lost from the median; from 100 ms on one does."""
TURN_S, SHORTEST_TURN_S, TURNS = 0.025, 0.008, 50
"""A turn is a fiftieth of a window, but between 8 and 25 ms; longer for requests that take longer."""
PERIODS = 10
"""How many periods of a CPU quota that can throttle a cell a turn counts: latencies then are those of a full load."""
MEMORY_FRACTION = 0.6
_HEADROOM = 0.97
_FULLEST = 0.8
_UNCOUNTED = 1.12
_MARGIN = 1.15
_WINDOWS_TO_SETUP = 2.0


class Planned(NamedTuple):
    """One trial to come: its cell, its block, its running number in the whole plan."""

    cell: str
    block: int
    sequence: int


def block(names: Sequence[str], seed: int, number: int) -> tuple[Planned, ...]:
    """Return block `number`: every cell once, in an order that only the seed and the number decide.

    The order is drawn over all cells of the run, so that a cell which drops out moves no other.
    """
    order = np.random.default_rng([seed, number]).permutation(len(names))
    start = number * len(names)
    return tuple(Planned(names[i], number, start + position) for position, i in enumerate(order))


class Cost(NamedTuple):
    """What a trial of a cell takes, in seconds: beside its windows; one request of the first window; of all others.

    `needed` is how many requests the first window should have for the percentiles that the policy asks for. `least_s`
    is how long it lasts at least. `gap_s` is the time between two arrivals of an open loop.
    """

    setup_s: float
    request_s: float
    others_s: float
    needed: int
    least_s: float = 0.0
    gap_s: float = 0.0

    @property
    def each_s(self) -> float:
        """Seconds of a window for each request in it."""
        return self.gap_s or self.request_s


class Windows(NamedTuple):
    """The seconds that a suite gives to its first scenario, and to all others together."""

    first_s: float
    others_s: float

    def cost_s(self, of: Cost, stretch: float) -> float:
        """Return what a trial takes whose windows are stretched by this factor; only the first grows beyond 1."""
        first = max(self.first_s * stretch, LEAST_REQUESTS * of.each_s, of.least_s)
        others = max(self.others_s * min(stretch, 1.0), of.others_s)
        return of.setup_s + _UNCOUNTED * (first + others)


def planned_blocks(costs: Sequence[Cost], windows: Windows, budget_s: float, wanted: int, most: int) -> int:
    """Return how many blocks the budget buys, two at least, `most` at most: `wanted`, more where processes start fast.

    Of two ways to spend the same seconds, more and shorter trials bound a percentile better: between k trials the
    variance has k - 1 degrees of freedom.
    """
    shortest = math.fsum(windows.cost_s(cost, SHORTEST) for cost in costs)
    setup_s = math.fsum(cost.setup_s for cost in costs)
    affordable = int(budget_s / shortest) if shortest > 0 else wanted
    cheap = int(SETUP_FRACTION * budget_s / setup_s) if setup_s > 0 else wanted
    return min(most, max(FEWEST_BLOCKS, min(affordable, max(wanted, min(cheap, MOST_BLOCKS)))))


def wanted_blocks(suite: Suite, quick: bool) -> int:
    """Return how many blocks a run should have at least; no more than the suite allows."""
    return min(suite.budget.max_trials, max(suite.budget.trials, QUICK_BLOCKS if quick else BLOCKS))


def seconds_wanted(costs: Sequence[Cost], windows: Windows, blocks: int) -> float:
    """Return the seconds that this many blocks take with windows as long as they are useful."""
    return blocks * math.fsum(windows.cost_s(cost, useful(cost, windows)) for cost in costs)


def useful(cost: Cost, windows: Windows) -> float:
    """Return the factor up to which longer windows serve: the suite's seconds, or the requests that are needed."""
    return max(1.0, cost.needed * cost.each_s / windows.first_s)


def stretches(costs: Mapping[str, Cost], windows: Windows, room_s: float) -> dict[str, float]:
    """Return the factor of each cell's windows so that a block takes `room_s`: the same for all, up to what is useful.

    A slow cell whose percentiles need more requests than its seconds hold goes on while others have enough. Where a
    block takes long beside its windows, they are longer, so that most of its time is measuring.
    """
    setup_s = math.fsum(cost.setup_s for cost in costs.values())
    worth = (_WINDOWS_TO_SETUP * setup_s / max(len(costs), 1) - windows.others_s) / windows.first_s
    most = {name: max(worth, useful(cost, windows)) for name, cost in costs.items()}

    def cost_s(level: float) -> float:
        return math.fsum(windows.cost_s(cost, min(level, most[name])) for name, cost in costs.items())

    low, high = SHORTEST, max(most.values(), default=1.0)
    if cost_s(high) <= room_s:
        low = high
    for _ in range(50):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if cost_s(middle) <= room_s else (low, middle)
    return {name: min(low, most[name]) for name in costs}


def room(budget_s: float, spent_s: float, blocks_left: int, last_s: float | None) -> float:
    """Return the seconds for the next block: an equal part of what is left.

    Once the planned blocks are done, parts are about as long as the last block was.
    """
    left_s = max(0.0, budget_s * _HEADROOM - spent_s)
    if blocks_left < 1:
        blocks_left = max(1, round(left_s / last_s)) if last_s else 1
    return left_s / blocks_left


def requests_needed(samples: int, blocks: int) -> int:
    """Return how many requests each of the blocks' trials needs, so that `samples` independent ones are there.

    Between k trials the variance has k - 1 degrees of freedom, which costs the squared ratio of Student's quantile to
    the normal one.
    """
    k = max(blocks, FEWEST_BLOCKS)
    ratio = float(special.stdtrit(k - 1, 0.975) / special.ndtri(0.975)) if k > FEWEST_BLOCKS else 2.5
    return math.ceil(samples * _MARGIN * ratio**2 / k)


def queue_effect(utilisation: float) -> float:
    """Return how many times the requests an open loop needs, because those that wait wait together.

    It is (1 + rho) / (1 - rho)^2: what p99's design effect (`stats.serial`) is in queues. Simulated (n = 3,000,000), it
    is 5.3 (M/D/1) to 6.3 (lognormal service, sigma 0.5) at rho = 0.5, 43 to 46 at 0.8, and 159 to 221 at 0.9; from 0.8
    on what is asked for does not grow any more.
    """
    rho = min(max(utilisation, 0.0), _FULLEST)
    return (1.0 + rho) / (1.0 - rho) ** 2


class Turn(NamedTuple):
    """How long a cell's turns are (s), and in which rounds it takes one: every `every`-th."""

    seconds: float
    every: float


def turn(window_s: float, typical_s: float, request_s: float, least_s: float = 0.0) -> Turn:
    """Return the turns of a cell whose window lasts `window_s`, beside cells with windows of `typical_s`.

    All cells have as many rounds as the typical one, so that they see the same moments of the host. A request longer
    than a turn makes the turn longer, and so does `least_s`; the cell then rests in some rounds.
    """
    rounds = max(1, round(typical_s / min(TURN_S, max(SHORTEST_TURN_S, typical_s / TURNS))))
    fewest = FEW if request_s <= SLOW_S else 4 if request_s <= VERY_SLOW_S else 1
    seconds = max(window_s / rounds, fewest * request_s, least_s)
    own = max(1, round(window_s / seconds))
    return Turn(seconds, max(1.0, rounds / own))


class Needs(NamedTuple):
    """What a cell's process needs for itself: bytes of memory, and a part of a GPU's memory (0 to 1)."""

    memory_bytes: int = 0
    device_share: float = 0.0


def groups(names: Sequence[str], needs: Mapping[str, Needs], free_bytes: int) -> tuple[tuple[str, ...], ...]:
    """Divide cells into groups whose processes fit into memory and on the GPU side by side, in the order given."""
    room_bytes, found, used, share = MEMORY_FRACTION * free_bytes, list[list[str]](), 0, 0.0
    for name in names:
        needed = needs.get(name, Needs())
        crowded = needed.device_share > 0 and share > 0 and share + needed.device_share > MEMORY_FRACTION
        if not found or used + needed.memory_bytes > room_bytes or crowded:
            found.append([])
            used, share = 0, 0.0
        found[-1].append(name)
        used, share = used + needed.memory_bytes, share + needed.device_share
    return tuple(tuple(group) for group in found)


def side_by_side(share: float, count: int) -> bool:
    """Whether so many processes that each take this part of a GPU's memory fit on it together."""
    return share * count <= MEMORY_FRACTION
