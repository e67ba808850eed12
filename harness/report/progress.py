"""The progress of a run: a status line on a terminal, updated at most once a second; plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from harness.pipeline.progress import Observer, Progress

_NAMED = 4


class Plain:
    """Prints a line per step and per block, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console, self._block, self._dropped = console, 0, 0

    def say(self, text: str) -> None:
        """Print a step."""
        self._console.print(text, markup=False, highlight=False)

    def progress(self, progress: Progress) -> None:
        """Print a line when a block begins, and which cells have left the race."""
        if progress.block != self._block:
            self._block = progress.block
            self._print_dropped(progress)
            self.say(line(progress))

    def tick(self, phase: str) -> None:
        """Print nothing."""

    def _print_dropped(self, progress: Progress) -> None:
        if left := progress.dropped[self._dropped :]:
            self._dropped += len(left)
            self._console.print(f"left the race: {', '.join(left)}", markup=False, highlight=False)


class Live(Plain):
    """Shows one status line. Used as a context manager."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console)
        self._status = Status("", console=console, refresh_per_second=1, spinner="dots")
        self._clock, self._text, self._shown = clock, "", 0.0

    def __enter__(self) -> Live:
        self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._status.stop()

    def say(self, text: str) -> None:
        """Show a step."""
        self._text = escape(text)
        self._status.update(self._text)

    def progress(self, progress: Progress) -> None:
        """Show the block that begins, and print above it which cells have left the race since."""
        self._print_dropped(progress)
        self.say(line(progress))

    def tick(self, phase: str) -> None:
        """Show the phase, at most once a second."""
        if self._clock() - self._shown >= 1.0:
            self._shown = self._clock()
            self._status.update(f"{self._text} [dim]{escape(phase)}[/dim]")


def line(progress: Progress) -> str:
    """Describe the state of a run in one line."""
    of = f" of {progress.blocks}" if progress.blocks and progress.block <= progress.blocks else ""
    racing = f"{len(progress.alive)} of {progress.cells} cells in the race"
    if len(progress.alive) <= _NAMED < progress.cells:
        racing += f": {', '.join(progress.alive)}"
    return " · ".join([f"block {progress.block}{of}", racing, f"at most {progress.left_s:.0f} s left"])


def observer(console: Console) -> AbstractContextManager[Observer]:
    """Return the observer for a console: a status line on a terminal, else plain lines."""
    return Live(console) if console.is_terminal else nullcontext(Plain(console))
