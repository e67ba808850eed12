"""The progress of a run: a live line on a terminal, plain lines elsewhere. Redrawn once a second at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console
from rich.status import Status

from harness.report.observe import Progress

_NAMED = 4


class Live:
    """Shows one status line that follows the run. Used as a context manager."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._status = Status("", console=console, refresh_per_second=1, spinner="dots")
        self._text, self._shown, self._dropped = "", 0.0, 0

    def __enter__(self) -> Live:
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def say(self, text: str) -> None:
        """Show a step."""
        self._text = text
        self._status.update(text)

    def progress(self, progress: Progress) -> None:
        """Show the trial that begins, and print above it who has left the race since."""
        left = progress.dropped[self._dropped :]
        if left:
            self._dropped = len(progress.dropped)
            self._console.print(leaving(left), markup=False, highlight=False)
        self._text = line(progress)
        self._status.update(self._text)

    def tick(self, phase: str) -> None:
        """Show the phase, once a second at most."""
        if self._clock() - self._shown >= 1.0:
            self._shown = self._clock()
            self._status.update(f"{self._text} [dim]{phase}[/dim]")


class Plain:
    """Prints a line per step and per block: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._block, self._dropped = 0, 0

    def __enter__(self) -> Plain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def say(self, text: str) -> None:
        """Print a step."""
        self._console.print(text, markup=False, highlight=False)

    def progress(self, progress: Progress) -> None:
        """Print a line when a block begins, and who has left the race."""
        if progress.block != self._block:
            self._block = progress.block
            if progress.dropped[self._dropped :]:
                self._console.print(leaving(progress.dropped[self._dropped :]), markup=False, highlight=False)
                self._dropped = len(progress.dropped)
            self._console.print(line(progress, with_cell=False), markup=False, highlight=False)

    def tick(self, phase: str) -> None:
        """Print nothing."""


def line(progress: Progress, with_cell: bool = True) -> str:
    """Say in one line where a run stands."""
    parts = [f"block {progress.block}"]
    if with_cell:
        parts += [f"trial {progress.done + 1} of {progress.total}", progress.cell]
    racing = f"{len(progress.alive)} of {progress.cells} cells in the race"
    if len(progress.alive) <= _NAMED < progress.cells:
        racing += f": {', '.join(progress.alive)}"
    return " · ".join([*parts, racing, f"at most {progress.left_s:.0f} s left"])


def leaving(names: Sequence[str]) -> str:
    """Say who has left the race."""
    return f"left the race: {', '.join(names)}"


def observer(console: Console) -> Live | Plain:
    """Return the observer that suits the console."""
    return Live(console) if console.is_terminal else Plain(console)
