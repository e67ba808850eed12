"""What can enforce limits on this machine: cgroups that this process may make, and where. Looked up, not assumed."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil

from harness.launch import systemd
from harness.launch.cgroup import Group, Refused, mine, new_name, sweep, sweep_empty
from harness.launch.limits import CONTROLLERS, Here, Means, Place, decide
from harness.probes.base import read_text
from harness.probes.cgroupfs import SYSTEM, folders_of, mounted
from harness.spec.target import Limits
from harness.spec.wire import Job, Resources

_COMPANION = "cpuacct"
"""Counts the CPU time of a cgroup in version 1, where it may be a hierarchy of its own."""
Offer = tuple[Place, tuple[str, ...]]
"""A place, and the controllers that it has."""


class Granted(NamedTuple):
    """What a job is granted, and the cgroup that holds it to that; None where none was made."""

    resources: Resources
    group: Group | None


class Enforcer:
    """Grants jobs their resources on this machine. What can enforce limits is looked up once, when first needed."""

    @cached_property
    def means(self) -> Means:
        """What can enforce limits here."""
        return find()

    def grant(self, limits: Limits, job: Job) -> Granted:
        """Decide a job's resources, and make its cgroup; a controller that refuses is done without."""
        means = Means() if limits == Limits() else self.means
        while True:
            resources, settings = decide(limits, means, here(), job)
            if not settings:
                return Granted(resources, None)
            group = Group(new_name(), settings, means)
            try:
                group.make()
            except Refused as refused:
                means = means.without(refused.controller, refused.reason)
                continue
            return Granted(msgspec.structs.replace(resources, group=group.files()), group)

    def forkable(self, limits: Limits) -> bool:
        """Whether a fork can be held to these limits; systemd holds only programs that it starts."""
        if limits == Limits():
            return True
        settings = decide(limits, self.means, here()).settings
        return all(self.means.places[name].by != "systemd scope" for name in settings)


def here() -> Here:
    """Return this host as a job finds it."""
    return Here(tuple(sorted(os.sched_getaffinity(0))), psutil.virtual_memory().available)


def find(system: Path = SYSTEM) -> Means:
    """Look up the first means for each controller: cgroups v2 that are this process's, systemd, cgroups v1.

    `system` stands for the root of the file system.
    """
    among = mounted(system)
    own = folders_of("self", among, system)
    hierarchy = next((mount.folder for mount in among if mount.version == 2), None)
    places: dict[str, Place] = {}
    tried = [_add(places, _version2(own.v2, hierarchy, system))]
    if hierarchy is not None and not set(CONTROLLERS) <= set(places):
        tried.append(_add(places, systemd.place(hierarchy, system)))
    for name in CONTROLLERS:
        if name not in places and name in own.v1 and os.access(own.v1[name], os.W_OK):
            places[name] = Place("cgroup v1", own.v1[name])
    if "cpu" in places and places["cpu"].by == "cgroup v1" and _COMPANION in own.v1:
        places[_COMPANION] = Place("cgroup v1", own.v1[_COMPANION])
    return Means(places, {name: _why_not(name, tried, own.v1) for name in CONTROLLERS if name not in places})


def tidy(system: Path = SYSTEM) -> list[Path]:
    """Remove the cgroups that killed runs left, and return them.

    Where this process would make its own, with what lives in them; elsewhere, where a run from another terminal or
    service may have made them, only empty ones.
    """
    among = mounted(system)
    own = folders_of("self", among, system)
    roots = {mount.folder for mount in among if mount.version == 2}
    above = [] if own.v2 is None else [own.v2, *(each for each in own.v2.parents if _within(each, roots))]
    found = sweep(dict.fromkeys([*own.v1.values(), *above]))
    limiting = [
        mount.folder for mount in among if mount.version == 2 or {*mount.controllers} & {*CONTROLLERS, _COMPANION}
    ]
    return [*found, *(each for folder in dict.fromkeys(limiting) for each in sweep_empty(folder))]


def _within(folder: Path, roots: Collection[Path]) -> bool:
    return any(each in roots for each in (folder, *folder.parents))


def _add(places: dict[str, Place], found: Offer | str) -> str:
    """Add the place of the controllers that have none yet; returns why there is no place."""
    if isinstance(found, str):
        return found
    place, controllers = found
    for name in controllers:
        places.setdefault(name, place)
    return ""


def _why_not(name: str, tried: list[str], v1: dict[str, Path]) -> str:
    last = f"cgroup v1: {v1[name]} cannot be written" if name in v1 else f"cgroup v1: {name} is not mounted"
    return "; ".join([*filter(None, tried), last])


def _version2(own: Path | None, hierarchy: Path | None, system: Path) -> Offer | str:
    """Return the nearest cgroup, this process's own or one above it, whose controllers can limit cgroups below it.

    The kernel refuses controllers below a cgroup with processes. Where this process is the only one of its cgroup, it
    makes room: it moves one level down.
    """
    if own is None or hierarchy is None:
        return "cgroup v2 is not mounted"
    above = [each for each in (own, *own.parents) if _within(each, [hierarchy])]
    for folder in filter(lambda each: _is_ours(each, system), above):
        if controllers := _enabled(folder):
            return Place("cgroup v2", folder), controllers
    if _is_ours(own, system) and _offered(own) and _made_room(own) and (controllers := _enabled(own)):
        return Place("cgroup v2", own), controllers
    return f"cgroup v2: none of {', '.join(CONTROLLERS)} is given to this process at {own}"


def _is_ours(folder: Path, system: Path) -> bool:
    """Whether cgroups may be made in a folder: root leaves to systemd what systemd has not handed over."""
    if not os.access(folder, os.W_OK) or not os.access(folder / "cgroup.procs", os.W_OK):
        return False
    return os.geteuid() != 0 or not systemd.is_running(system) or systemd.is_delegated(folder)


def _offered(folder: Path) -> list[str]:
    offered = read_text(str(folder / "cgroup.controllers")).split()
    return [name for name in CONTROLLERS if name in offered]


def _enabled(folder: Path) -> tuple[str, ...]:
    """Return the controllers that limit cgroups below a folder, after enabling what can be."""
    on = read_text(str(folder / "cgroup.subtree_control")).split()
    for name in _offered(folder):
        if name not in on:
            with suppress(OSError):
                (folder / "cgroup.subtree_control").write_text(f"+{name}", encoding="ascii")
                on.append(name)
    return tuple(name for name in _offered(folder) if name in on)


def _made_room(own: Path) -> bool:
    """Move this process one level down, if it is alone in its cgroup; returns whether it did."""
    if read_text(str(own / "cgroup.procs")).split() != [str(os.getpid())]:
        return False
    below = own / f"own-{mine()}"
    try:
        below.mkdir()
        (below / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    except OSError:
        return False
    return True
