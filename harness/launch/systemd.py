"""systemd where it runs: a scope for one program, with its limits, in a cgroup that systemd makes and removes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from harness.launch.limits import CONTROLLERS, Place, Quota, Setting
from harness.probes.base import read_text
from harness.probes.cgroupfs import PREFIX, SYSTEM

_TRY_S = 10.0


def is_running(system: Path = SYSTEM) -> bool:
    """Whether systemd is the init of this system (as sd_booted(3))."""
    return (system / "run/systemd/system").is_dir()


def is_delegated(folder: Path) -> bool:
    """Whether systemd has handed a cgroup, or one above it, over to its processes (`Delegate=yes`)."""
    for each in (folder, *folder.parents):
        for name in ("trusted.delegate", "user.delegate"):
            with suppress(OSError):
                if os.getxattr(each, name) == b"1":
                    return True
    return False


def command(name: str, settings: Mapping[str, Setting]) -> list[str]:
    """Return what a command line begins with to run in a scope of this name: of root's systemd, else of the user's."""
    whose = [] if os.geteuid() == 0 else ["--user"]
    start = ["systemd-run", *whose, "--scope", "--quiet", "--collect", f"--unit={name}", f"--slice={_slice()}"]
    return [*start, *(f"--property={each}" for each in properties(settings)), "--"]


def properties(settings: Mapping[str, Setting]) -> list[str]:
    """Return the properties of a scope (systemd.resource-control(5)) for what controllers are set to."""
    found = []
    for controller, setting in settings.items():
        if isinstance(setting, Quota):
            found.append(f"CPUQuota={100 * setting.quota_us / setting.period_us:g}%")
            found.append(f"CPUQuotaPeriodSec={setting.period_us}us")
        elif isinstance(setting, tuple):
            found.append(f"AllowedCPUs={','.join(map(str, setting))}")
        elif controller == "memory":
            found += ["MemoryAccounting=yes", "MemorySwapMax=0"]
            found += [] if setting is None else [f"MemoryMax={setting}"]
    return found


def _slice() -> str:
    return "system.slice" if os.geteuid() == 0 else "app.slice"


def place(hierarchy: Path, system: Path = SYSTEM) -> tuple[Place, tuple[str, ...]] | str:
    """Return where scopes are made in the hierarchy of version 2, with their controllers; else why nowhere."""
    if not is_running(system):
        return "systemd is not running"
    uid = os.geteuid()
    manager = hierarchy if uid == 0 else hierarchy / f"user.slice/user-{uid}.slice/user@{uid}.service"
    offered = read_text(str(manager / "cgroup.controllers")).split()
    controllers = tuple(name for name in CONTROLLERS if name in offered)
    if not controllers:
        return f"systemd has none of {', '.join(CONTROLLERS)} at {manager}"
    reason = _tried()
    return reason or (Place("systemd scope", manager / _slice()), controllers)


def _tried() -> str:
    """Start a scope that does nothing; returns why that did not work."""
    try:
        line = [*command(f"{PREFIX}try-{os.getpid()}", {}), "true"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=_TRY_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"systemd-run: {error}"
    return "" if done.returncode == 0 else f"systemd-run: {done.stderr.strip() or f'status {done.returncode}'}"
