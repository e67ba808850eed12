"""Where Linux keeps cgroups: which hierarchies are mounted, and which folders a process is in. Versions 1 and 2."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from harness.probes.base import read_text

PREFIX = "harness-"
"""How the name of a job's own cgroup begins."""
SYSTEM = Path("/")
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """A mounted hierarchy: its folder, the cgroup that is its root, and the controllers of version 1 (2: none)."""

    folder: Path
    root: str
    version: int
    controllers: tuple[str, ...] = ()


class Folders(NamedTuple):
    """The folders of a process's cgroups: by controller in version 1, the one of version 2; where they are mounted."""

    v1: dict[str, Path]
    v2: Path | None


def mounts(mountinfo: str) -> tuple[Mount, ...]:
    """Read the mounted hierarchies off the text of /proc/self/mountinfo."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        root, folder = (_OCTAL.sub(lambda code: chr(int(code[1], 8)), field) for field in fields[3:5])
        controllers = tuple(kind[2].split(",")) if kind[0] == "cgroup" else ()
        found.append(Mount(Path(folder), root, 2 if kind[0] == "cgroup2" else 1, controllers))
    return tuple(found)


def memberships(text: str) -> dict[str, str]:
    """Read the text of /proc/<pid>/cgroup: controller → path; the path in version 2 stands under the empty name."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, names, path = (*line.split(":", 2), "", "")[:3]
        found |= dict.fromkeys(names.split(","), path)
    return found


def mounted(system: Path = SYSTEM) -> tuple[Mount, ...]:
    """Return the hierarchies that are mounted; `system` stands for the root of the file system."""
    return tuple(
        mount._replace(folder=system / mount.folder.relative_to("/"))
        for mount in mounts(read_text(str(system / "proc/self/mountinfo")))
    )


def folders_of(pid: int | str, among: tuple[Mount, ...], system: Path = SYSTEM) -> Folders:
    """Return the folders of a process's cgroups in these hierarchies; none where it has ended."""
    paths = memberships(read_text(str(system / f"proc/{pid}/cgroup")))
    v1: dict[str, Path] = {}
    v2: Path | None = None
    for mount in among:
        if mount.version == 2:
            v2 = v2 or _below(mount, paths.get("", ""))
            continue
        for controller in mount.controllers:
            if (folder := _below(mount, paths.get(controller, ""))) is not None:
                v1.setdefault(controller, folder)
    return Folders(v1, v2)


def _below(mount: Mount, path: str) -> Path | None:
    """Return the folder of a cgroup; None where it is not below what is mounted."""
    root = mount.root.rstrip("/")
    if not path.startswith("/") or ".." in path.split("/") or not (path + "/").startswith(root + "/"):
        return None
    return mount.folder / path[len(root) :].strip("/")


def number(path: Path) -> int | None:
    """Read a file that holds a number; None where there is none, or where it says `max`: no limit."""
    text = read_text(str(path)).strip()
    return int(text) if text.isdigit() else None


def table(path: Path) -> dict[str, int]:
    """Read a file of `name number` lines, such as memory.stat."""
    fields = (line.split() for line in read_text(str(path)).splitlines())
    return {each[0]: int(each[1]) for each in fields if len(each) == 2 and each[1].isdigit()}
