"""How a run tells what it is doing, to whoever watches."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Progress(NamedTuple):
    """Where measuring stands before a trial: its block (from 1) and cell, trials of the block, who is left."""

    block: int
    cell: str
    done: int
    total: int
    alive: tuple[str, ...]
    cells: int
    dropped: tuple[str, ...]
    left_s: float


class Observer(Protocol):
    """Someone who watches a run."""

    def say(self, text: str) -> None:
        """Hear of a step."""

    def progress(self, progress: Progress) -> None:
        """Hear that a trial begins."""

    def tick(self, phase: str) -> None:
        """Hear, a few times a second, which phase the child is in."""


class Quiet:
    """Watches and says nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def progress(self, progress: Progress) -> None:
        """Say nothing."""

    def tick(self, phase: str) -> None:
        """Say nothing."""
