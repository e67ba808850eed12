"""Trees of cgroups on a disk, as systems have them: folders and files below a root that stands for `/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

V1 = """\
24 30 0:22 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 /docker/4f /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V1_SELF = """\
9:name=systemd:/
4:memory:/docker/4f/job
3:cpuset:/
2:cpu,cpuacct:/user
0::/
"""
V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
SCOPE = "user.slice/user-1000.slice/user@1000.service/app.slice/term.scope"
"""Where a terminal runs under systemd."""


def tree(root: Path, mountinfo: str, own: str, files: Mapping[str, str]) -> Path:
    """Write a system: what is mounted, where this process is, and the files of cgroups; returns its root."""
    written = {"proc/self/mountinfo": mountinfo, "proc/self/cgroup": own, **files}
    for name, text in written.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def folder(where: str, offered: str, enabled: str = "", procs: str = "") -> dict[str, str]:
    """Return the files of a cgroup of version 2."""
    base = f"sys/fs/cgroup/{where}".rstrip("/")
    return {
        f"{base}/cgroup.controllers": offered,
        f"{base}/cgroup.subtree_control": enabled,
        f"{base}/cgroup.procs": procs,
    }


def refuse(where: Path) -> None:
    """Let a cgroup take no controllers, as the kernel does where there are processes in it."""
    (where / "cgroup.subtree_control").unlink()
    (where / "cgroup.subtree_control").mkdir()
