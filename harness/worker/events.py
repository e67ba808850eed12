"""Phase marks in `events.jsonl`: how far the child came, stamped with CLOCK_MONOTONIC."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from harness.spec.wire import Event


class EventLog:
    """Appends one line per phase, flushed, so that a crash leaves the phase it happened in."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "events.jsonl").open("ab", buffering=0)
        self.phase = ""

    def mark(self, phase: str, note: str = "") -> None:
        """Record that `phase` begins now."""
        self.phase = phase
        event = Event(phase=phase, t_ns=time.perf_counter_ns(), note=note)
        self._file.write(msgspec.json.encode(event) + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
