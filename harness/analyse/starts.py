"""A cell's cold starts → percentiles of their phases, and of the requests that an instance answers when it is warm."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.errors import EvidenceError
from harness.evidence.folder import HANDLER, INVOKE, LATENCY, read_outcome, read_requests
from harness.scenarios.base import NS_PER_MS
from harness.score.records import Measure
from harness.score.words import listed, percent
from harness.spec.arrays import Floats, Integers
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.metrics import START_PERCENTILES, START_PHASES, WARM
from harness.spec.outcome import Outcome, Started
from harness.spec.target import Lifecycle, Target
from harness.stats.pooled import pooled_quantiles
from harness.stats.quantiles import Quantile, summarise

FIRST_WARM = 2
"""A request is warm from the third one on: the second one is a phase of the start."""
_RESIDENT = 0.05
_LEFT_OUT = {
    "function": "placing the instance, loading its code or image, and booting its micro-VM",
    "container": "placing the instance, pulling its image, and making its sandbox",
}


class Start(NamedTuple):
    """One cold start: its number from 0, its outcome, and each request's time through the platform and in the handler.

    In ns, first request first; empty where the start failed.
    """

    number: int
    outcome: Outcome
    invoke_ns: Integers
    handler_ns: Integers

    @property
    def started(self) -> Started | None:
        """The phases; None where the start failed."""
        return self.outcome.started if self.outcome.status == "ok" else None


def read_start(folder: Path, number: int) -> Start | None:
    """Read a cold start; None when it has not ended. Raises EvidenceError if it is damaged."""
    outcome, none = read_outcome(folder), np.zeros(0, dtype=np.int64)
    if outcome is None or outcome.status != "ok":
        return None if outcome is None else Start(number, outcome, none, none)
    invoke, handler = (np.array(read_requests(folder, INVOKE, name)) for name in (LATENCY, HANDLER))
    if outcome.started is None or len(invoke) != len(handler):
        raise EvidenceError(f"{folder}: damaged: its requests or phases are missing")
    return Start(number, outcome, invoke, handler)


class Times(NamedTuple):
    """What cold starts took, in ms: each phase with one value a start, and warm requests, with one array a start."""

    phases: dict[str, Floats]
    warm: dict[str, list[Floats]]


def times_of(starts: Sequence[Start], lifecycle: Lifecycle | None) -> Times:
    """Return the times of the starts that succeeded; `total` has what the target adds for what is not emulated."""
    added = lifecycle.elsewhere_ms if lifecycle is not None else 0.0
    ok = [(start, phases) for start in starts if (phases := start.started) is not None]
    found = {name: np.array([_phase_ms(each, name) for _, each in ok]) for name in START_PHASES}
    found["total"] = found["total"] + added
    if not found["lost"].any():
        del found["lost"]
    warm = {name: [of(start) / NS_PER_MS for start, _ in ok] for name, of in _WARM_NS.items()}
    return Times(found, warm)


def _phase_ms(started: Started, name: str) -> float:
    return int(getattr(started, f"{name}_ns")) / NS_PER_MS


def _warm(array: Integers) -> Integers:
    return array[FIRST_WARM:] if len(array) > FIRST_WARM else array[1:]


_WARM_NS: dict[str, Callable[[Start], Integers]] = {
    "warm_invoke": lambda start: _warm(start.invoke_ns),
    "warm_handler": lambda start: _warm(start.handler_ns),
    "warm_overhead": lambda start: _warm(start.invoke_ns - start.handler_ns),
}


def start_measures(starts: Sequence[Start], lifecycle: Lifecycle | None) -> dict[str, Measure]:
    """Return every percentile with its interval: over starts, each a process; of warm requests, starts as clusters."""
    times = times_of(starts, lifecycle)
    if not len(times.phases["total"]):
        return {}
    found: dict[str, Measure] = {}
    for phase, values in times.phases.items():
        keys = _keys(f"cold_{phase}")
        told = summarise(values, tuple(keys.values()))
        found |= {key: _measure(told[p], len(values), len(values), len(values)) for key, p in keys.items()}
    for name in WARM:
        keys, arrays = _keys(name), times.warm[name]
        pooled = pooled_quantiles(arrays, tuple(keys.values()))
        n = sum(map(len, arrays))
        for key, p in keys.items():
            value, low, high, effective, *_ = pooled[p]
            found[key] = _measure(Quantile(value, low, high), n, len(arrays), effective)
    return found


def _keys(name: str) -> dict[str, float]:
    return {key: p for key, p in START_PERCENTILES.items() if key.rsplit("_", 2)[0] == name}


def _measure(of: Quantile, n: int, trials: int, effective: float) -> Measure:
    low, high = (end if math.isfinite(end) else None for end in (of.low, of.high))
    return Measure(
        value=of.value, low=low, high=high, n=n, trials=trials, unit="ms", basis="pooled", effective_n=effective
    )


def start_remarks(starts: Sequence[Start], lifecycle: Lifecycle | None) -> list[Diagnostic]:
    """Say of a cell's starts what its numbers do not: INITs that were repeated, an artefact that stayed in memory."""
    told = [phases for start in starts if (phases := start.started) is not None]
    said, n = [], len(told)
    repeated = sum(each.inits > 1 for each in told)
    if repeated and lifecycle is not None:
        text = f"INIT took longer than {lifecycle.init_s:g} s in {repeated} of {n} cold starts: it was ended, and"
        text += " repeated within the first request, which is what the platform does"
        said.append(diagnostic("init_repeated", text, repeated=repeated, starts=n))
    stayed = [each.resident for each in told if each.resident is not None and each.resident > _RESIDENT]
    if stayed and lifecycle is not None and lifecycle.storage == "cold":
        text = f"up to {percent(max(stayed))} of the artefact was in memory in {len(stayed)} of {n} cold starts, though"
        text += " its pages had been evicted: another process maps it"
        said.append(diagnostic("artefact_resident", text, starts=n, affected=len(stayed)))
    return said


def not_emulated(targets: Iterable[Target]) -> list[Diagnostic]:
    """Say once for each kind of place what its cold starts leave out, and what is added for that."""
    said = []
    unique = {target.name: target for target in targets}.values()
    for launcher, what in _LEFT_OUT.items():
        names = [target.name for target in unique if target.launcher == launcher]
        if names:
            text = f"cold starts of {listed(names)} begin with the process; not emulated: {what}"
            said.append(diagnostic("not_emulated", text, targets=[*names]))
    for target in unique:
        life = target.lifecycle
        if life is not None and life.elsewhere_ms:
            text = f"{target.name}: {life.elsewhere_ms:g} ms are added to each cold total for what is not emulated"
            text += f" ({life.elsewhere_source})"
            said.append(diagnostic("not_emulated", text, target.name, added_ms=life.elsewhere_ms))
    return said
