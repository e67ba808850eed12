"""What a fresh process did over its life: its phases, and the memory that it held meanwhile."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from harness.analyse.trials import TrialMetrics
from harness.evidence.folder import read_events, read_telemetry
from harness.spec.arrays import Floats

_NS, _MIB = 1e9, float(1 << 20)
_FIRST = "start"


class Phase(NamedTuple):
    """A phase of a process: its name as in `events.jsonl` (`start` before the first), in seconds since its start."""

    name: str
    begin_s: float
    end_s: float


class Timeline(NamedTuple):
    """The memory (MiB) of a process at `t_s` seconds since its start, its phases, its peak (None: not known)."""

    t_s: Floats
    mib: Floats
    phases: tuple[Phase, ...]
    peak_mib: float | None


def phases(trial: TrialMetrics) -> tuple[Phase, ...]:
    """Return a trial's phases in their order; none where its events or its start are not known."""
    launched, (events, _) = trial.outcome.launched, read_events(trial.folder)
    if launched is None or not launched.begin_ns or not events:
        return ()
    begin = launched.begin_ns
    end = max(events[-1].t_ns, trial.outcome.begin_ns + trial.outcome.duration_ns)
    marks = [(_FIRST, begin), *((event.phase, event.t_ns) for event in events), ("", end)]
    return tuple(
        Phase(name, (at - begin) / _NS, (until - begin) / _NS)
        for (name, at), (_, until) in pairwise(marks)
        if until > at >= begin
    )


def timeline(trial: TrialMetrics) -> Timeline | None:
    """Return the memory of a trial's processes over time; None where neither telemetry nor the child tells it.

    What the child read of itself when its runtime was imported and its model loaded stands beside the samples.
    """
    launched, table = trial.outcome.launched, read_telemetry(trial.folder)
    if launched is None or not launched.begin_ns:
        return None
    t_ns, rss = (table.get(column, np.zeros(0)) for column in ("t_ns", "process.rss_bytes"))
    known = np.isfinite(rss) & np.isfinite(t_ns)
    points = [*zip(t_ns[known].tolist(), rss[known].tolist(), strict=True), *_own_readings(trial)]
    if not points:
        return None
    at, held = np.array(sorted(points)).T
    peak = trial.outcome.memory.peak_bytes
    return Timeline((at - launched.begin_ns) / _NS, held / _MIB, phases(trial), None if peak is None else peak / _MIB)


def _own_readings(trial: TrialMetrics) -> list[tuple[float, float]]:
    """Return (ns, bytes) where the child read its own memory: before it loaded the model, and after."""
    memory, (events, _) = trial.outcome.memory, read_events(trial.folder)
    at = {event.phase: float(event.t_ns) for event in events}
    readings = (("load", memory.baseline_bytes), ("loaded", memory.loaded_bytes))
    return [(at[phase], float(held)) for phase, held in readings if held is not None and phase in at]
