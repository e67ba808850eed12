"""Probes: one that reads, one that cannot read here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


class FileProbe:
    """Open file descriptors, and the highest niceness, of the measured processes."""

    columns: Mapping[str, str] = {"open_fds": "1", "niceness": "1"}

    def __init__(self) -> None:
        self._pids: Sequence[int] = ()

    def unavailable(self) -> str | None:
        return None

    def start(self, pids: Sequence[int]) -> None:
        self._pids = pids

    def sample(self) -> list[int | None]:
        fds, niceness = [], []
        for pid in self._pids:
            with suppress(OSError):
                fds.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))
                niceness.append(os.getpriority(os.PRIO_PROCESS, pid))
        return [sum(fds), max(niceness)] if niceness else [None, None]

    def facts(self) -> dict[str, int]:
        return {"watched": len(self._pids)}


class WattProbe:
    """A probe for hardware that no machine has."""

    columns: Mapping[str, str] = {"power_w": "W"}

    def unavailable(self) -> str | None:
        return "no power meter on this host"

    def start(self, pids: Sequence[int]) -> None:
        raise AssertionError("an unavailable probe must not be started")

    def sample(self) -> list[float | None]:
        raise AssertionError("an unavailable probe must not be read")

    def facts(self) -> dict[str, int]:
        raise AssertionError("an unavailable probe has no facts")
