"""The cgroup that a job has for itself: what it is charged, and how long its CPU quota held it back."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.probes.base import Unavailable
from harness.probes.cgroupfs import PREFIX, SYSTEM, Folders, folders_of, mounted, number, table
from harness.spec.outcome import Fact

_NO_LIMIT = 1 << 62
"""Version 1 says a number of pages near 2^63 where there is no limit."""


class CgroupProbe:
    """Watches the cgroup of the first process that is in one that the launcher made for its job.

    A process in no such cgroup has no columns: nothing limits it, and what its cgroup is charged is not its own.
    `system` stands for the root of the file system.
    """

    columns: Mapping[str, str] = {
        "memory_bytes": "bytes",
        "anon_bytes": "bytes",
        "file_bytes": "bytes",
        "cpu_s": "s",
        "throttled_s": "s",
        "throttled_periods": "1",
        "periods": "1",
    }

    def __init__(self, system: Path = SYSTEM) -> None:
        self._system, self._mounts = system, mounted(system)
        self._pids: tuple[int, ...] = ()
        self._own: dict[str, Path] = {}
        self._facts: dict[str, Fact] = {}

    def unavailable(self) -> str | None:
        """Say that no hierarchy of cgroups is mounted, if none is."""
        return None if self._mounts else "no cgroup hierarchy is mounted"

    def start(self, pids: Sequence[int]) -> None:
        """Watch the cgroup of these processes; it is looked up when it is first read."""
        self._pids = tuple(pids)

    def sample(self) -> list[float | int | None]:
        """Read the cgroup once."""
        if not self._own:
            found = (own_folders(folders_of(pid, self._mounts, self._system)) for pid in self._pids)
            self._own = next(filter(None, found), {})
        if not self._own:
            return [None] * len(self.columns)
        self._facts |= {key: value for key, value in facts_of(self._own).items() if value is not None}
        return [*memory_of(self._own), *cpu_of(self._own)]

    def facts(self) -> dict[str, Fact]:
        """Return peak, limit and OOM kills as last seen, and the cgroup; raises Unavailable where the job had none."""
        if not self._own:
            raise Unavailable("the process is in no cgroup of its own")
        return {"cgroup": next(iter(self._own.values())).name, **self._facts}


def own_folders(of: Folders) -> dict[str, Path]:
    """Return those folders that belong to a job's own cgroup, by controller."""
    found = {controller: own for controller, folder in of.v1.items() if (own := _own(folder)) is not None}
    if of.v2 is not None and (own := _own(of.v2)) is not None:
        found = dict.fromkeys(("memory", "cpu", "cpuacct"), own) | found
    return found


def _own(folder: Path) -> Path | None:
    """Return the job's cgroup that a folder is, or is in."""
    return next((each for each in (folder, *folder.parents) if each.name.startswith(PREFIX)), None)


def memory_of(own: Mapping[str, Path]) -> list[int | None]:
    """Return what the cgroup is charged: all, anonymous pages, page cache (bytes)."""
    folder = own.get("memory")
    if folder is None:
        return [None] * 3
    stat = table(folder / "memory.stat")
    now = _first(folder, "memory.current", "memory.usage_in_bytes")
    return [now, stat.get("anon", stat.get("rss")), stat.get("file", stat.get("cache"))]


def cpu_of(own: Mapping[str, Path]) -> list[float | int | None]:
    """Return CPU time (s), time throttled (s), and the numbers of throttled and of all periods."""
    stat = table(own["cpu"] / "cpu.stat") if "cpu" in own else {}
    used_us, held_us, held_ns = (stat.get(name) for name in ("usage_usec", "throttled_usec", "throttled_time"))
    used_ns = number(own["cpuacct"] / "cpuacct.usage") if used_us is None and "cpuacct" in own else None
    return [
        _seconds(used_us, used_ns),
        _seconds(held_us, held_ns),
        stat.get("nr_throttled"),
        stat.get("nr_periods"),
    ]


def facts_of(own: Mapping[str, Path]) -> dict[str, int | None]:
    """Return the highest charge (bytes), the limit (bytes), and the processes killed for memory in the cgroup."""
    folder = own.get("memory")
    if folder is None:
        return {}
    limit = _first(folder, "memory.max", "memory.limit_in_bytes")
    return {
        "peak_bytes": _first(folder, "memory.peak", "memory.max_usage_in_bytes"),
        "limit_bytes": None if limit is None or limit > _NO_LIMIT else limit,
        "oom_kills": oom_kills(folder),
    }


def oom_kills(folder: Path) -> int | None:
    """Return how many processes were killed for memory in a cgroup; None where it does not tell, or is gone."""
    events = table(folder / "memory.events") or table(folder / "memory.oom_control")
    return events.get("oom_kill")


def _first(folder: Path, *names: str) -> int | None:
    return next((value for name in names if (value := number(folder / name)) is not None), None)


def _seconds(microseconds: int | None, nanoseconds: int | None) -> float | None:
    if microseconds is not None:
        return microseconds / 1e6
    return None if nanoseconds is None else nanoseconds / 1e9
