"""Where the seconds of a run went, by purpose."""

from collections.abc import Iterable, Mapping

from harness.analyse.reader import RunReader
from harness.spec.outcome import Outcome

PURPOSES = ("prepare", "cold_starts", "start", "load", "warm_up", "sampling", "uncounted", "other", "exit", "parent")
_SIDE_BY_SIDE = ("start", "load", "exit")
_PURPOSE_OF = {
    "import": "start",
    "load": "load",
    "first": "load",
    "warm_up": "warm_up",
    "sampling": "sampling",
    "uncounted": "uncounted",
    "predict": "other",
    "other": "other",
    "write": "exit",
}
"""What a child's time counts as. Its waiting is left out: meanwhile other cells run, whose time is counted."""


def seconds_by_purpose(reader: RunReader) -> dict[str, float]:
    """Return wall seconds of a run by purpose; together they are preparation, cold starts and all blocks.

    `start` is a process's start and the import of its runtime (a template's too), `load` includes the first
    inference, `uncounted` are the first requests of turns, `exit` includes writing the evidence, `parent` is what
    remains of the blocks: deciding, reading evidence.
    """
    outcomes = _outcomes(reader)
    starts_s = sum(start.outcome.wall_s for cell in reader.cells for start in reader.starts(cell.name))
    parts: list[Mapping[str, float]] = [{"prepare": reader.prepared.spent_s, "cold_starts": starts_s}]
    for block in range(max(outcomes, default=-1) + 1):
        found, recorded = outcomes.get(block, []), reader.block_seconds(block)
        wall_s = sum(outcome.wall_s for outcome in found) if recorded is None else recorded
        parts.append(block_purposes([own_seconds(outcome) for outcome in found], wall_s))
    return dict.fromkeys(PURPOSES, 0.0) | _added(parts)


def _added(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for purpose, seconds in part.items():
            total[purpose] = total.get(purpose, 0.0) + seconds
    return total


def _outcomes(reader: RunReader) -> dict[int, list[Outcome]]:
    """Return the outcomes of each block; `cold-02` ran in block 0, and `cold-01` before it, in block -1."""
    found: dict[int, list[Outcome]] = {}
    for cell in reader.cells:
        cold = [(trial.block - 1, trial.outcome) for trial in reader.cold(cell.name)]
        for block, outcome in (*cold, *((trial.block, trial.outcome) for trial in reader.trials(cell.name))):
            found.setdefault(block, []).append(outcome)
    return found


def own_seconds(outcome: Outcome) -> dict[str, float]:
    """Return the seconds that one process took, by purpose.

    Before the child's own account begins it starts, or its template does; after it, the process exits.
    """
    known = ({_PURPOSE_OF[name]: ns / 1e9} for name, ns in outcome.spent.items() if name in _PURPOSE_OF)
    outside_s = max(0.0, outcome.wall_s - outcome.duration_ns / 1e9)
    began = outcome.launched.begin_ns if outcome.launched and outcome.begin_ns else 0
    start_s = min(outside_s, max(0, outcome.begin_ns - began) / 1e9) if began else outside_s
    return _added([*known, {"start": start_s, "exit": outside_s - start_s}])


def block_purposes(processes: Iterable[Mapping[str, float]], wall_s: float) -> dict[str, float]:
    """Return the seconds of one block of `wall_s` by purpose.

    Processes start, load and exit side by side. Where that adds up to more than the block has left beside turns, it is
    scaled down to it.
    """
    found = _added(processes)
    left_s = max(0.0, wall_s - sum(seconds for name, seconds in found.items() if name not in _SIDE_BY_SIDE))
    beside = sum(found.get(purpose, 0.0) for purpose in _SIDE_BY_SIDE)
    if beside > left_s:
        scale = left_s / beside
        found |= {purpose: found[purpose] * scale for purpose in _SIDE_BY_SIDE if purpose in found}
    return found | {"parent": max(0.0, left_s - beside)}
