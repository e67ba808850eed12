"""How the limits of a target are enforced on a machine, limit by limit: the decision and its words. Pure.

Each limit is held by the first means that can hold it; one that none can hold falls back alone, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness.spec.target import Limits
from harness.spec.wire import ColdStart, Job, Resources, Trial

By = Literal["cgroup v2", "systemd scope", "cgroup v1"]
CONTROLLERS = ("cpu", "cpuset", "memory")
GUARD_FRACTION = 0.8
"""A job without a memory limit gets this fraction of the memory that is free when it starts."""
_MIB = 1 << 20
_NONE = "no cgroup with this controller"
_WHAT_COUNTS = "a fresh process pays for interpreter and libraries, a fork for those of their pages that it changes"


class Place(NamedTuple):
    """Where cgroups are made, and by which means."""

    by: By
    folder: Path


class Means(NamedTuple):
    """What can enforce limits on a machine: a place for each controller; why a controller has none."""

    places: Mapping[str, Place] = {}
    missing: Mapping[str, str] = {}

    def without(self, controller: str, reason: str) -> Means:
        """Return what is left where a controller turned out not to work."""
        places = {name: place for name, place in self.places.items() if name != controller}
        return Means(places, {**self.missing, controller: reason})


class Here(NamedTuple):
    """A host as a job finds it: the CPUs that may be used, free memory (bytes)."""

    cpus: tuple[int, ...]
    free_bytes: int


class Quota(NamedTuple):
    """CPU time in each period (µs)."""

    quota_us: int
    period_us: int


Setting = Quota | tuple[int, ...] | int | None
"""What a controller is set to: a quota, CPUs, bytes; None: nothing yet."""


class Decision(NamedTuple):
    """What a job is granted, and what its own cgroup is to be set to, by controller."""

    resources: Resources
    settings: dict[str, Setting]


class _Part(NamedTuple):
    """What is decided of some limits: fields of `Resources`, settings, words, whether it is enforced at all."""

    granted: dict[str, Any]
    settings: dict[str, Setting]
    words: str = ""
    enforced: bool = True


def decide(limits: Limits, means: Means, here: Here, job: Job | None = None) -> Decision:
    """Decide how each limit is enforced for a job."""
    cpu, memory = _cpus(limits, means, here, job), _memory(limits, means, here)
    above = limits.memory_above_baseline_mib is not None
    parts = {"cpus": cpu, "memory_above_baseline_mib" if above else "memory_mib": memory}
    resources = Resources(
        **cpu.granted,
        **memory.granted,
        limits={name: part.words for name, part in parts.items() if part.words},
        unenforced=tuple(name for name, part in parts.items() if not part.enforced),
    )
    return Decision(resources, cpu.settings | memory.settings)


def _cpus(limits: Limits, means: Means, here: Here, job: Job | None) -> _Part:
    """Keep a job to ceil(cpus) CPUs, and to its part of their time; threads follow from both."""
    threads, count = threads_of(limits, here.cpus), len(here.cpus)
    if limits.cpus is None or limits.cpu_time is None:
        return _Part({"threads": threads}, {})
    if limits.cpu_time >= count:
        words = f"{count} CPU{'s are' if count > 1 else ' is'} all there is here"
        return _Part({"threads": threads}, {}, words, limits.cpus == count)
    cores = kept_to(here.cpus, threads, job)
    kept = _kept(cores, means, here) if len(cores) < count else _Part({}, {})
    time = _time(limits, means, cores, firmly="cpuset" in kept.settings)
    throttles = "cpu" in time.settings and limits.cpu_time < min(_threads_of(job, threads), len(cores))
    granted = {"threads": threads, "settle_s": limits.cpu_period_ms / 1000 if throttles else 0.0, **kept.granted}
    said = [time.words, kept.words, f"{threads} thread{'s' if threads > 1 else ''}"]
    return _Part(granted, kept.settings | time.settings, "; ".join(filter(None, said)), time.enforced)


def threads_of(limits: Limits, cpus: tuple[int, ...]) -> int:
    """Return how many threads a job is granted: one for each CPU that it may use, no more than ceil(cpus)."""
    return len(cpus) if limits.cpus is None else min(len(cpus), math.ceil(limits.cpus))


def _kept(cores: tuple[int, ...], means: Means, here: Here) -> _Part:
    """Keep a job to some of the CPUs."""
    named = f"CPU{'s' if len(cores) > 1 else ''} {', '.join(map(str, cores))} of {len(here.cpus)}"
    if "cpuset" in means.places:
        return _Part({}, {"cpuset": cores}, f"{named} ({_by(means, 'cpuset')})")
    why = means.missing.get("cpuset", _NONE)
    return _Part({"cpus": cores}, {}, f"{named} (affinity, which a process can change: {why})")


def _time(limits: Limits, means: Means, cores: tuple[int, ...], firmly: bool) -> _Part:
    """Give a job its part of the time of its CPUs. `firmly`: it cannot leave them, so all their time needs no quota."""
    assert limits.cpu_time is not None, "a limit is there"
    if firmly and limits.cpu_time >= len(cores):
        return _Part({}, {})
    if "cpu" not in means.places:
        enforced = limits.cpu_time >= len(cores)
        return _Part({}, {}, "" if enforced else f"not enforced: {means.missing.get('cpu', _NONE)}", enforced)
    quota = Quota(round(limits.cpu_time * limits.cpu_period_ms * 1000), limits.cpu_period_ms * 1000)
    settings: dict[str, Setting] = {"cpu": quota} | ({"cpuacct": None} if "cpuacct" in means.places else {})
    return _Part({}, settings, f"{quota.quota_us / 1000:g} ms in each {limits.cpu_period_ms} ms ({_by(means, 'cpu')})")


def kept_to(cpus: tuple[int, ...], count: int, job: Job | None) -> tuple[int, ...]:
    """Return the CPUs that a job is kept to: those it is pinned to, else another choice in each block."""
    if not isinstance(job, Trial | ColdStart):
        return cpus[:count]
    if job.cpus is not None and set(job.cpus) <= set(cpus) and len(job.cpus) <= count:
        return job.cpus
    return tuple(sorted(cpus[(job.block + place) % len(cpus)] for place in range(count)))


def _threads_of(job: Job | None, granted: int) -> int:
    """Return how many threads compute: what the target's options say, else all granted; for each server of the job."""
    own = job.target.options.get("intra_op_threads") if isinstance(job, Trial | ColdStart) else None
    serving = max((each.serving for each in job.scenarios), default=1) if isinstance(job, Trial) else 1
    return serving * (min(own, granted) if isinstance(own, int) and own > 0 else granted)


def _memory(limits: Limits, means: Means, here: Here) -> _Part:
    """Bound memory, at once or above the baseline; without a limit, to most of what is free."""
    guard, place = int(here.free_bytes * GUARD_FRACTION), "memory" in means.places
    instead = f"RLIMIT_DATA, private writable memory ({means.missing.get('memory', _NONE)})"
    how = _by(means, "memory") if place else instead
    if limits.memory_mib is not None:
        most = limits.memory_mib * _MIB
        granted = {"memory_limit_bytes": most, "data_limit_bytes": guard if place else most}
        return _Part(granted, {"memory": most} if place else {}, f"{how}; {_WHAT_COUNTS}" if place else how)
    granted = {"memory_limit_bytes": guard, "data_limit_bytes": guard}
    if limits.memory_above_baseline_mib is None:
        return _Part(granted, {})
    granted |= {"above_baseline_bytes": limits.memory_above_baseline_mib * _MIB}
    return _Part(granted, {"memory": None} if place else {}, f"{how}; above what is held with the runtime imported")


def _by(means: Means, controller: str) -> str:
    """Name what holds a limit: `cgroup v1, cpu`."""
    return f"{means.places[controller].by}, {controller}" if controller in means.places else ""


def describe(means: Means) -> dict[str, str]:
    """Say for each kind of limit what holds it on this machine; keys are `CONTROLLERS`."""
    without = {
        "cpu": "not enforced",
        "cpuset": "affinity, which a process can change",
        "memory": "RLIMIT_DATA, private writable memory",
    }
    return {
        name: f"{place.by} in {place.folder}"
        if (place := means.places.get(name)) is not None
        else f"{without[name]} ({means.missing.get(name, _NONE)})"
        for name in CONTROLLERS
    }
