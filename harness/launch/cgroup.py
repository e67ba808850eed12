"""A job's own cgroup: made with its settings, entered at the start, asked for OOM kills, removed at the end."""

from __future__ import annotations

import errno
import os
import re
import secrets
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from harness.launch import systemd
from harness.launch.limits import By, Means, Place, Quota, Setting
from harness.probes.base import read_text
from harness.probes.cgroup import oom_kills
from harness.probes.cgroupfs import PREFIX
from harness.spec.wire import GroupFiles

_NAME = re.compile(rf"(?:own-)?{PREFIX}(\d+)-(\d+)(?:-\w+)?")
_REMOVE_S, _RETRY_S = 2.0, 0.001
_IN_USE = (errno.EBUSY, errno.ENOTEMPTY)
_ENTER = 'while [ "$1" != -- ]; do echo 0 > "$1" || exit 71; shift; done; shift; exec "$@"'
"""A shell enters cgroups and becomes the program; it exits with EX_OSERR of sysexits.h where it may not."""


class _Files(NamedTuple):
    """How a version of cgroups calls its files. `enter` takes a process that has one thread so far."""

    enter: str
    memory_now: str
    memory_peak: str
    memory_limits: tuple[str, ...]


_V2 = _Files("cgroup.procs", "memory.current", "memory.peak", ("memory.max",))
_FILES: Mapping[By, _Files] = {
    # `tasks`, not `cgroup.procs`: moving one thread takes no grace period of the kernel, which is 10 to 25 ms
    "cgroup v1": _Files(
        "tasks",
        "memory.usage_in_bytes",
        "memory.max_usage_in_bytes",
        ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    ),
    "cgroup v2": _V2,
    "systemd scope": _V2,
}


class Refused(Exception):
    """A cgroup cannot be made, or does not take its setting; for which controller, and why."""

    def __init__(self, controller: str, reason: str) -> None:
        self.controller, self.reason = controller, reason
        super().__init__(f"{controller}: {reason}")


class Group:
    """The cgroup of one job: a folder in each hierarchy that limits it. systemd makes and removes its own."""

    def __init__(self, name: str, settings: Mapping[str, Setting], means: Means) -> None:
        self.name = name
        self._settings = settings
        self._places = {key: means.places[key] for key in settings}
        self._folders = {key: place.folder / _folder_name(place, name) for key, place in self._places.items()}
        scoped = {key: each for key, each in settings.items() if self._places[key].by == "systemd scope"}
        self.prefix = systemd.command(name, scoped) if scoped else []
        files = (str(f / _FILES[self._places[key].by].enter) for key, f in self._folders.items() if key not in scoped)
        self.entries = tuple(dict.fromkeys(files))
        self._kills: int | None = None

    def make(self) -> None:
        """Make it with its settings; raises Refused, with nothing left, where that is not possible."""
        for key, place in self._places.items():
            if place.by == "systemd scope":
                continue
            folder = self._folders[key]
            try:
                folder.mkdir(exist_ok=True)
                for name, text in texts(place.by, folder, key, self._settings[key]):
                    (folder / name).write_text(text, encoding="ascii")
            except OSError as error:
                self.remove()
                raise Refused(key, f"{place.by}: {folder.parent}: {error.strerror or error}") from error

    @property
    def changes_quota(self) -> bool:
        """Whether its quota of CPU time can be changed: it was made with one, and systemd does not keep it."""
        return "cpu" in self._places and self._places["cpu"].by != "systemd scope"

    def set_quota(self, quota: Quota) -> None:
        """Change its quota of CPU time, where it can be changed."""
        if self.changes_quota:
            folder = self._folders["cpu"]
            for name, text in texts(self._places["cpu"].by, folder, "cpu", quota):
                (folder / name).write_text(text, encoding="ascii")

    def wrapped(self, command: list[str]) -> list[str]:
        """Return a command line that enters before the program begins."""
        inside = ["/bin/sh", "-c", _ENTER, "sh", *self.entries, "--", *command] if self.entries else command
        return [*self.prefix, *inside]

    def holds(self, pid: int) -> bool:
        """Whether a process has entered it in every hierarchy."""
        return read_text(f"/proc/{pid}/cgroup").count(self.name) >= len(set(self._folders.values()))

    def files(self) -> GroupFiles:
        """Return the files that the job itself uses."""
        cpu = str(self._folders["cpu"] / "cpu.stat") if "cpu" in self._folders else ""
        folder = self._folders.get("memory")
        if folder is None:
            return GroupFiles(cpu_stat=cpu)
        place, names = self._places["memory"], _FILES[self._places["memory"].by]
        return GroupFiles(
            cpu_stat=cpu,
            memory_stat=str(folder / "memory.stat"),
            memory_now=str(folder / names.memory_now),
            memory_peak=str(folder / names.memory_peak),
            memory_limits=tuple(str(folder / name) for name in _limit_files(place.by, folder)),
        )

    def oom_kills(self) -> int | None:
        """Return how many processes were killed for memory in it, as last read; None where it does not tell."""
        if "memory" in self._folders:
            found = oom_kills(self._folders["memory"])
            self._kills = self._kills if found is None else found
        return self._kills

    def remove(self) -> None:
        """Kill what lives in it and remove it; what the kernel does not let go is left for the next start."""
        self.oom_kills()
        for folder in dict.fromkeys(self._folders.values()):
            remove(folder)


def _folder_name(place: Place, name: str) -> str:
    return f"{name}.scope" if place.by == "systemd scope" else name


def texts(by: By, folder: Path, controller: str, setting: Setting) -> list[tuple[str, str]]:
    """Return what is written into which files of a new cgroup, in order."""
    v1, above = by == "cgroup v1", folder.parent
    if isinstance(setting, Quota):
        quota, period = map(str, setting)
        v2_text = f"{quota} {period}"
        return [("cpu.cfs_period_us", period), ("cpu.cfs_quota_us", quota)] if v1 else [("cpu.max", v2_text)]
    if isinstance(setting, tuple):
        nodes = read_text(str(above / "cpuset.effective_mems")) or read_text(str(above / "cpuset.mems"))
        first = [("cpuset.mems", nodes.strip())] if v1 else []
        return [*first, ("cpuset.cpus", ",".join(map(str, setting)))]
    swap = [("memory.swap.max", "0")] if controller == "memory" and (folder / "memory.swap.max").exists() else []
    if setting is None:
        return swap
    return [*swap, *((name, str(setting)) for name in _limit_files(by, folder))]


def _limit_files(by: By, folder: Path) -> list[str]:
    """Return the files that hold the limit; that of memory and swap is missing where swap is not accounted."""
    first, *more = _FILES[by].memory_limits
    return [first, *(name for name in more if (folder / name).exists())]


def new_name() -> str:
    """Return a new name that tells whose cgroup it is: `harness-<process>-<its start>-<token>`."""
    return f"{mine()}-{secrets.token_hex(4)}"


def mine() -> str:
    """Return how the names of this process's cgroups begin."""
    return f"{PREFIX}{os.getpid()}-{_start_of(os.getpid())}"


def sweep(folders: Iterable[Path]) -> list[Path]:
    """Remove what killed runs left in these folders: cgroups whose process is gone, with what lives in them."""
    found = [each for folder in folders for each in folder.glob(f"*{PREFIX}*") if _is_left(each.name)]
    for each in found:
        remove(each)
    return found


def _is_left(name: str) -> bool:
    """Whether a name is that of a cgroup whose process does not live any more."""
    parts = _NAME.fullmatch(name)
    return parts is not None and _start_of(int(parts[1])) != int(parts[2])


def _start_of(pid: int) -> int:
    """Return when a process started (ticks after boot, field 22 of /proc/<pid>/stat); -1 where it does not live."""
    fields = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 else -1


def remove(folder: Path) -> bool:
    """Kill what lives in a cgroup and remove it, with those below it; returns whether it is gone."""
    end = time.monotonic() + _REMOVE_S
    while True:
        try:
            folder.rmdir()
            return True
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno not in _IN_USE or time.monotonic() > end:
                return False
        _clear(folder)
        time.sleep(_RETRY_S)


def _clear(folder: Path) -> None:
    """Kill the processes of a cgroup, and remove those below it; ended processes need a moment to leave it."""
    for pid in read_text(str(folder / "cgroup.procs")).split():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(int(pid), signal.SIGKILL)
    with suppress(OSError):
        for each in folder.iterdir():
            if each.is_dir():
                remove(each)
