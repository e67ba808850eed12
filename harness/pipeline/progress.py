"""How a run reports what it is doing. Anyone can observe."""

from typing import NamedTuple, Protocol


class Progress(NamedTuple):
    """The state before a block: its number (from 1) of those planned, the cells, those still in the race."""

    block: int
    blocks: int
    cells: int
    alive: tuple[str, ...]
    dropped: tuple[str, ...]
    left_s: float


class Observer(Protocol):
    """Observes a run."""

    def say(self, text: str) -> None:
        """Hear that a step begins."""

    def progress(self, progress: Progress) -> None:
        """Hear that a block begins."""

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
