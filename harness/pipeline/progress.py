"""How a run reports what it is doing. Anyone can observe."""

from typing import NamedTuple, Protocol


class Progress(NamedTuple):
    """The state before a trial: its block (from 1) and cell, trials of the block, cells still in the race."""

    block: int
    cell: str
    done: int
    total: int
    alive: tuple[str, ...]
    cells: int
    dropped: tuple[str, ...]
    left_s: float


class Observer(Protocol):
    """Observes a run."""

    def say(self, text: str) -> None:
        """Hear that a step begins."""

    def progress(self, progress: Progress) -> None:
        """Hear that a trial begins."""

    def tick(self, phase: str) -> None:
        """Hear, a few times a second, which phase the job is in."""


class Silent:
    """Observes and does nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""

    def progress(self, progress: Progress) -> None:
        """Do nothing."""

    def tick(self, phase: str) -> None:
        """Do nothing."""
